/** Doors to VMMs in other processes: bakes, restores and resumes guests of QEMU, Firecracker and Cloud Hypervisor. */
package io.microsnap.vmm;
