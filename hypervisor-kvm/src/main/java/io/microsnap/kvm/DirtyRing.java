package io.microsnap.kvm;

import io.microsnap.kvm.internal.abi.Numbers;
import io.microsnap.kvm.internal.abi.Structs;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import org.agrona.UnsafeApi;

/**
 * One vCPU's dirty ring, as KVM shares it: entries numbered in the order of writing; the numbers never wrap.
 *
 * <p>Only {@link #isDirty} is safe while another thread may unmap the ring. The other methods skip the segment's
 * liveness check, which would be a large part of a harvest's cost beyond KVM's own work.
 */
final class DirtyRing {
    static final long ENTRY_BYTES = Structs.KVM_DIRTY_GFN.byteSize();
    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();
    /** An entry begins with its flags, in the lower half of a word, and its slot, in the upper one. */
    private static final int SLOT_SHIFT = Integer.SIZE;
    private static final long PAGE = 8;
    /** The upper half of a slot number is the address space: system management mode has a separate one. */
    private static final int SLOT_MASK = 0xffff;

    private final MemorySegment entries;
    private final long address;
    private final long mask;

    /** Makes a ring of all the entries in a segment, whose number is a power of two. */
    DirtyRing(MemorySegment entries) {
        this.entries = entries;
        address = entries.address();
        mask = entries.byteSize() / ENTRY_BYTES - 1;
        if (Long.bitCount(mask + 1) != 1 || entries.byteSize() % ENTRY_BYTES != 0) {
            throw new IllegalArgumentException("a dirty ring of " + entries.byteSize() + " bytes");
        }
    }

    long size() {
        return mask + 1;
    }

    /** Returns whether KVM has filled this entry and it was not given back. Any thread may call this at any time. */
    boolean isDirty(long number) {
        return isDirtyHead((int) INT.getAcquire(entries, (number & mask) * ENTRY_BYTES));
    }

    /** Returns flags and slot, with acquire semantics: the rest of the entry was written before them. */
    long head(long number) {
        return UnsafeApi.getLongAcquire(null, at(number));
    }

    static boolean isDirtyHead(long head) {
        return (head & Numbers.KVM_DIRTY_GFN_F_DIRTY) != 0;
    }

    static int slot(long head) {
        return (int) (head >>> SLOT_SHIFT) & SLOT_MASK;
    }

    /** Returns the page within the slot, for an entry whose head is dirty. */
    long page(long number) {
        return UnsafeApi.getLong(null, at(number) + PAGE);
    }

    /** Gives the entry back to KVM, with release semantics: it was read before. */
    void giveBack(long number) {
        UnsafeApi.putIntRelease(null, at(number), Numbers.KVM_DIRTY_GFN_F_RESET);
    }

    private long at(long number) {
        return address + (number & mask) * ENTRY_BYTES;
    }
}
