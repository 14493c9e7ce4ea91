/**
 * Bakes, restores and resumes guests of VMMs in other processes. Each door is an
 * {@link io.microsnap.vmm.ExternalVmm}: {@link io.microsnap.vmm.QemuVmm}, {@link io.microsnap.vmm.FirecrackerVmm} and
 * {@link io.microsnap.vmm.CloudHypervisorVmm}. It prepares, pauses, reads and resumes a guest, and a guard process
 * resumes the guest when this process dies meanwhile.
 */
package io.microsnap.vmm;
