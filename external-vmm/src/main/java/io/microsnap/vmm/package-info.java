/**
 * Bakes, restores and resumes guests of VMMs in other processes: QEMU, Firecracker and Cloud Hypervisor.
 *
 * <p>Start at {@link io.microsnap.vmm.ExternalVmm}: open one of its three kinds with
 * {@link io.microsnap.vmm.VmmOptions}, call {@code bake}, and close it. Each kind has a static {@code restore}, which
 * writes the files that a copy needs, and a static {@code resume}, which loads a waiting VMM with them.
 * {@link io.microsnap.vmm.VmmFiles} imports files that a VMM's own tools wrote, and
 * {@link io.microsnap.vmm.InPlace} runs a command on a stored image.
 *
 * <p>Below: {@code wire} speaks QMP and HTTP with limits on time and size; {@code qemu}, {@code firecracker} and
 * {@code cloud} know one VMM each; {@code host} looks at the VMM's process and shares scratch files with it;
 * {@code guard} resumes the guest if this process dies.
 */
package io.microsnap.vmm;
