package io.microsnap.kvm;

import io.microsnap.core.Region;

/**
 * A memory slot of a VM: a range of guest-physical memory and the memory of this process behind it.
 *
 * @param number its number in KVM
 * @param guest its range in the guest
 * @param hostAddress its address in this process
 * @param flags the {@code KVM_MEM_…} flags it is registered with
 */
public record MemorySlot(int number, Region guest, long hostAddress, int flags) {
    /** Makes a slot without flags. */
    public MemorySlot(int number, Region guest, long hostAddress) {
        this(number, guest, hostAddress, 0);
    }

    long hostEnd() {
        return hostAddress + guest.lengthBytes();
    }

    @Override
    public String toString() {
        return "slot " + number + " (guest 0x" + Long.toHexString(guest.guestAddress()) + " to 0x"
                + Long.toHexString(guest.end()) + ", host 0x" + Long.toHexString(hostAddress) + ")";
    }
}
