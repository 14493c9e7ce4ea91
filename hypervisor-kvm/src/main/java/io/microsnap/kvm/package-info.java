/**
 * Guests of Linux KVM: their memory, what they wrote, their machine state.
 *
 * <p>{@link io.microsnap.kvm.Kvm} makes {@linkplain io.microsnap.kvm.VirtualMachine VMs}, or a VM is
 * {@linkplain io.microsnap.kvm.VirtualMachine#attach attached} to that a VMM in this process owns. Either way it has a
 * {@linkplain io.microsnap.kvm.VirtualMachine#memory() memory}, a
 * {@linkplain io.microsnap.kvm.VirtualMachine#openDirtySource dirty source} and a
 * {@linkplain io.microsnap.kvm.VirtualMachine#saveState state}, which is all that a capture needs.
 *
 * <p>Of the {@linkplain io.microsnap.kvm.DirtyTracking ways} in which KVM tells what was written, the bitmap cleared by
 * hand is the default. The dirty ring has to be asked for. Some KVMs, above all those that emulate the guest's code,
 * do not stop a vCPU in time when its ring fills up, and overwrite entries that were not read yet. That is noticed: the
 * harvest fails and says so, rather than leave pages out, and the guest has to be run with larger rings or with another
 * kind of tracking.
 */
package io.microsnap.kvm;
