package io.microsnap.core;

/**
 * A contiguous range of guest-physical memory.
 *
 * @param guestAddress its first guest-physical address
 * @param lengthBytes its length, above zero
 */
public record Region(long guestAddress, long lengthBytes) {
    /** Refuses a range that is empty, negative, or runs past the end of the address space. */
    public Region {
        if (guestAddress < 0 || lengthBytes <= 0 || guestAddress + lengthBytes < 0) {
            throw new IllegalArgumentException(
                    "no region has address " + guestAddress + " and length " + lengthBytes);
        }
    }

    /** Returns the first guest address behind the region. */
    public long end() {
        return guestAddress + lengthBytes;
    }
}
