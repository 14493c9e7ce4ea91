package io.microsnap.benchmarks;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.PageReader;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A guest's RAM as captures are measured on. */
final class Guest {
    static final int PAGE = 4096;

    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    private final GuestRam ram;
    private final GuestLayout layout;

    private Guest(GuestRam ram) {
        this.ram = ram;
        layout = ram.layout();
    }

    /**
     * Every page written, none of them zero, in memory that the C peer maps as well: where pages lie decides, too, how
     * fast they are copied.
     */
    static Guest full(Workbench workbench, long bytes) throws Exception {
        Guest guest = new Guest(workbench.closeLater(GuestRam.memfd(
                Posix.host(), GuestLayout.ofSingleRegion(PAGE, bytes), HugePages.NONE)));
        guest.fill(0, bytes);
        return guest;
    }

    /** Anonymous memory, nothing of it populated. */
    static Guest empty(Workbench workbench, long bytes) throws Exception {
        return new Guest(workbench.closeLater(GuestRam.anonymous(
                Posix.host(), GuestLayout.ofSingleRegion(PAGE, bytes), HugePages.NONE)));
    }

    /** Writes a range. */
    void fill(long offset, long bytes) {
        fill(ram.mapping(0), offset, bytes, 0);
    }

    /** Writes a range with other bytes than another generation's. */
    static void fill(MemorySegment memory, long offset, long bytes, long generation) {
        for (long at = offset; at < offset + bytes; at += Long.BYTES) {
            memory.set(ValueLayout.JAVA_LONG, at, (at + 1 + generation) * GOLDEN);
        }
    }

    GuestLayout layout() {
        return layout;
    }

    MemorySegment memory() {
        return ram.mapping(0);
    }

    /** Where another process opens this memory, if it can. */
    String path() {
        return "/proc/" + ProcessHandle.current().pid() + "/fd/" + ram.memfd().orElseThrow();
    }

    PageReader reader() {
        return ram.reader();
    }

    /** Dirty runs evenly spread, each moved by a hash of its number: the C peer's very places. */
    DirtyBitmap dirty(long runPages, long perMille) {
        long pages = layout.pageCount();
        return dirtyRuns(runPages, pages * perMille / 1000 / runPages);
    }

    /** As many runs as asked. */
    DirtyBitmap dirtyRuns(long runPages, long runs) {
        long stride = layout.pageCount() / runs;
        DirtyBitmap dirty = DirtyBitmap.of(layout);
        for (long run = 0; run < runs; run++) {
            long start = run * stride + (((run + 1) * GOLDEN) >>> 33) % (stride - runPages + 1);
            dirty.mark(start * PAGE, runPages * PAGE);
        }
        return dirty;
    }
}
