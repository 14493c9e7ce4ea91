package io.microsnap.core.internal.posix;

import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Asks Linux (6.7 and later) which pages of a process's memory are in a given state, and can write-protect those it
 * names in the same pass. Its buffers are allocated once and freed when it is closed; use it from one thread at a time.
 */
public final class PageMapScan implements AutoCloseable {
    /** The page was written since it was last write-protected. */
    public static final long PAGE_IS_WRITTEN = 1 << 1;
    /** The page belongs to a file or to shared memory. */
    public static final long PAGE_IS_FILE = 1 << 2;
    public static final long PAGE_IS_PRESENT = 1 << 3;
    public static final long PAGE_IS_SWAPPED = 1 << 4;
    /** The page is the shared page of zeros: it was read and never written. */
    public static final long PAGE_IS_PFNZERO = 1 << 5;
    /** Write-protect what matches. */
    public static final long PM_SCAN_WP_MATCHING = 1;
    /** Fail with EPERM on ranges that are not registered for asynchronous write protection. */
    public static final long PM_SCAN_CHECK_WPASYNC = 2;

    // _IOWR('f', 16, struct pm_scan_arg)
    private static final long PAGEMAP_SCAN = 0xC0606610L;
    private static final long ARGUMENT_BYTES = 96;
    private static final long FLAGS = 8;
    private static final long START = 16;
    private static final long END = 24;
    private static final long WALK_END = 32;
    private static final long VECTOR = 40;
    private static final long VECTOR_LENGTH = 48;
    private static final long MAXIMUM_PAGES = 56;
    private static final long CATEGORY_INVERTED = 64;
    private static final long CATEGORY_MASK = 72;
    private static final long CATEGORY_ANY_OF = 80;
    private static final long RETURN_MASK = 88;
    private static final long REGION_BYTES = 24;
    private static final int REGIONS = 2048;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment argument;
    private final MemorySegment regions;

    public PageMapScan() {
        argument = arena.allocate(ARGUMENT_BYTES, Long.BYTES);
        regions = arena.allocate(REGION_BYTES * REGIONS, Long.BYTES);
    }

    /**
     * Which pages match: those that, after the inverted categories are flipped, have all of {@code required} and,
     * unless that is empty, at least one of {@code anyOf}.
     *
     * @param inverted categories to be tested for their absence
     * @param required categories a page must have, all of them
     * @param anyOf categories of which a page must have one; 0 asks nothing
     */
    public record Categories(long inverted, long required, long anyOf) {
        /** Pages that have all of these. */
        public static Categories allOf(long required) {
            return new Categories(0, required, 0);
        }

        /** Pages that have one of these or more. */
        public static Categories anyOf(long categories) {
            return new Categories(0, 0, categories);
        }

        /** Returns the same, without the pages that have any of these. */
        public Categories without(long categories) {
            return new Categories(inverted | categories, required | categories, anyOf);
        }
    }

    /**
     * Names the runs of matching pages as addresses, ascending and never touching each other. With {@link
     * #PM_SCAN_WP_MATCHING} a failure part-way, also one of the consumer, leaves pages protected that were not named:
     * the results of this scan are then lost.
     *
     * @param pagemap {@code /proc/PID/pagemap}, open for reading
     * @param start address of the first page
     * @param end address behind the last page
     * @param flags {@code PM_SCAN_…}, or 0
     * @param matching which pages are named
     * @param runs takes address and length
     * @throws SystemCallException ENOTTY where the kernel has no such scan
     */
    public void scan(Descriptor pagemap, long start, long end, long flags, Categories matching, RangeConsumer runs)
            throws IOException {
        set(0, ARGUMENT_BYTES);
        set(FLAGS, flags);
        set(END, end);
        set(VECTOR, regions.address());
        set(VECTOR_LENGTH, REGIONS);
        set(MAXIMUM_PAGES, 0);
        set(CATEGORY_INVERTED, matching.inverted());
        set(CATEGORY_MASK, matching.required());
        set(CATEGORY_ANY_OF, matching.anyOf());
        // Return only what every match has: then all runs look alike and the kernel joins neighbours, and it has a fast
        // path when the required and the returned categories are the same.
        set(RETURN_MASK, matching.required());
        long runStart = start;
        long runEnd = start;
        long at = start;
        while (at < end) {
            set(START, at);
            long found = walk(pagemap, at, end);
            for (long index = 0; index < found; index++) {
                long from = regions.get(ValueLayout.JAVA_LONG, index * REGION_BYTES);
                long to = regions.get(ValueLayout.JAVA_LONG, index * REGION_BYTES + Long.BYTES);
                if (from != runEnd) {
                    emit(runStart, runEnd, runs);
                    runStart = from;
                }
                runEnd = to;
            }
            // After a long walk, the kernel's end of walk may lie before the last run it named.
            long walked = Math.max(argument.get(ValueLayout.JAVA_LONG, WALK_END), found > 0 ? runEnd : at);
            if (walked <= at) {
                throw new SnapshotException(pagemap.name() + ": a page map scan from " + Long.toHexString(at)
                        + " made no progress");
            }
            at = walked;
        }
        emit(runStart, runEnd, runs);
    }

    /** Frees the buffers. A second call does nothing. */
    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }

    private long walk(Descriptor pagemap, long at, long end) throws IOException {
        Posix posix = pagemap.posix();
        while (true) {
            set(WALK_END, 0);
            long found = posix.ioctl(pagemap.number(), PAGEMAP_SCAN, argument);
            if (!posix.constants().failedWith(found, Errno.EINTR)) {
                return pagemap.check("ioctl PAGEMAP_SCAN", found,
                        "of addresses " + Long.toHexString(at) + " to " + Long.toHexString(end));
            }
        }
    }

    private void set(long field, long value) {
        argument.set(ValueLayout.JAVA_LONG, field, value);
    }

    private static void emit(long start, long end, RangeConsumer runs) throws IOException {
        if (end > start) {
            runs.accept(start, end - start);
        }
    }
}
