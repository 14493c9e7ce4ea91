package io.microsnap.dirty;

import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.Posix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import org.agrona.UnsafeApi;

/**
 * Off-heap words for a {@link DirtyBitmap}, zero at first, freed when this object is unreachable; each access keeps it
 * reachable. Indexes are not checked, because the bitmap has checked the offsets they come from. It does not use an
 * {@code UnsafeBuffer}, whose checks and repeated field reads would double the cost of setting a bit.
 */
final class Words {
    private static final int STEP = 8;

    private final MemorySegment memory;
    private final long address;
    private final long count;

    Words(long count) {
        this.count = count;
        memory = Arena.ofAuto().allocate(count * Long.BYTES, Long.BYTES);
        address = memory.address();
    }

    long count() {
        return count;
    }

    MemorySegment memory() {
        return memory;
    }

    /** Returns a value good enough for a scan: one that the word has, or had since the scan began. */
    long get(long index) {
        try {
            return UnsafeApi.getLong(null, at(index));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** Returns the word as it is now, without ordering with other memory. */
    long getOpaque(long index) {
        try {
            return UnsafeApi.getLongOpaque(null, at(index));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** Sets bits and returns the word as it was. */
    long getAndOr(long index, long bits) {
        try {
            return UnsafeApi.getAndBitwiseOrLong(null, at(index), bits);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** Keeps only these bits. */
    void and(long index, long bits) {
        try {
            UnsafeApi.getAndBitwiseAndLong(null, at(index), bits);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** Takes all bits out of a word. */
    long getAndClear(long index) {
        try {
            return UnsafeApi.getAndSetLong(null, at(index), 0);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    void clear() {
        memory.fill((byte) 0);
    }

    /**
     * Clears all words and returns whole pages of their memory to the system. The addresses stay reserved while this
     * object is reachable: a late setter sets a bit here, and in no other bitmap.
     */
    void release() {
        Posix posix = Posix.host();
        long page = posix.getpagesize();
        long start = Math.ceilDiv(address, page) * page;
        long end = (address + memory.byteSize()) / page * page;
        // Only Linux guarantees zeros in place of discarded pages.
        if (start < end && posix.constants().operatingSystem() == OperatingSystem.LINUX
                && posix.madvise(start, end - start, posix.constants().MADV_DONTNEED) == 0) {
            memory.asSlice(0, start - address).fill((byte) 0);
            memory.asSlice(end - address).fill((byte) 0);
        } else {
            clear();
        }
    }

    /**
     * Returns the first word from this one on that has a bit set, or the count. Clean memory costs one branch for 64
     * bytes.
     */
    long nextWithBits(long from) {
        return nextWithBits(from, count);
    }

    /** As above, up to an end, which it returns if there is none before. */
    long nextWithBits(long from, long end) {
        long index = from;
        long firstStep = Math.min(end, (from + STEP - 1) & -STEP);
        while (index < firstStep && get(index) == 0) {
            index++;
        }
        if (index == firstStep) {
            while (index <= end - STEP && isStepClean(index)) {
                index += STEP;
            }
            while (index < end && get(index) == 0) {
                index++;
            }
        }
        return index;
    }

    private boolean isStepClean(long index) {
        long at = at(index);
        try {
            return (UnsafeApi.getLong(null, at) | UnsafeApi.getLong(null, at + 8)
                    | UnsafeApi.getLong(null, at + 16) | UnsafeApi.getLong(null, at + 24)
                    | UnsafeApi.getLong(null, at + 32) | UnsafeApi.getLong(null, at + 40)
                    | UnsafeApi.getLong(null, at + 48) | UnsafeApi.getLong(null, at + 56)) == 0;
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    private long at(long index) {
        return address + (index << 3);
    }
}
