package io.microsnap.memory.internal.image;

import io.microsnap.memory.MemoryWritten;
import java.time.Duration;

/** One thread's counts of processed pages. */
final class PageCounts {
    long offered;
    long recorded;
    long zero;
    long bytesWritten;
    long damagedInBase;

    void add(PageCounts other) {
        offered += other.offered;
        recorded += other.recorded;
        zero += other.zero;
        bytesWritten += other.bytesWritten;
        damagedInBase += other.damagedInBase;
    }

    MemoryWritten in(Duration time) {
        return new MemoryWritten(offered, recorded, zero, bytesWritten, damagedInBase, time);
    }
}
