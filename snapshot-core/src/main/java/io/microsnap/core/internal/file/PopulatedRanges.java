package io.microsnap.core.internal.file;

import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.PageMapScan;
import io.microsnap.core.internal.posix.PageMapScan.Categories;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Names the ranges of a file or of memory that may hold anything but zeros. The rest was never populated: it is zero,
 * and reading it through a mapping would allocate it. Where the system cannot tell, this names the whole range.
 */
public final class PopulatedRanges {
    /** Private pages that were written, in memory or swapped out; the shared page of zeros is excluded. */
    private static final Categories POPULATED = Categories
            .anyOf(PageMapScan.PAGE_IS_PRESENT | PageMapScan.PAGE_IS_SWAPPED)
            .without(PageMapScan.PAGE_IS_PFNZERO);
    private static final Categories WRITTEN_PRIVATELY = POPULATED.without(PageMapScan.PAGE_IS_FILE);
    private static final Categories PRESENT = Categories.allOf(PageMapScan.PAGE_IS_PRESENT);
    private static final long ENTRY_FILE = 1L << 61;
    private static final long ENTRY_SWAPPED = 1L << 62;
    private static final long ENTRY_PRESENT = 1L << 63;
    private static final long ENTRIES = 8192;

    private PopulatedRanges() {
    }

    /**
     * Names the data ranges of a file or memfd, ascending, clipped to the given range. Reads and allocates nothing.
     * Throws if the file ends before the range does: the missing part is not zeros.
     */
    public static void ofFile(Descriptor file, long offset, long lengthBytes, RangeConsumer ranges)
            throws IOException {
        checkRange(offset, lengthBytes);
        requireReach(file, offset, lengthBytes);
        Extents.data(file, offset, lengthBytes, ranges);
    }

    /**
     * Names the populated ranges of this process's anonymous memory, as offsets into the segment.
     *
     * @param memory a mapping, or a part of one that starts on a page boundary
     */
    public static void ofMemory(Posix posix, MemorySegment memory, RangeConsumer ranges) throws IOException {
        try (ProcessPageTable pageTable = new ProcessPageTable(posix)) {
            ofMemory(pageTable, memory, ranges);
        }
    }

    static void ofMemory(ProcessPageTable pageTable, MemorySegment memory, RangeConsumer ranges) throws IOException {
        scan(pageTable, memory, POPULATED, false, ranges);
    }

    /** Names the pages of a private mapping that were written, and so differ from the file. */
    static void writtenPrivately(ProcessPageTable pageTable, MemorySegment memory, RangeConsumer ranges)
            throws IOException {
        scan(pageTable, memory, WRITTEN_PRIVATELY, true, ranges);
    }

    /** Names the pages that are mapped; kernels before 6.7 include those that are swapped out. */
    static void present(ProcessPageTable pageTable, MemorySegment memory, RangeConsumer ranges) throws IOException {
        scan(pageTable, memory, PRESENT, false, ranges);
    }

    private static void scan(ProcessPageTable pageTable, MemorySegment memory, Categories categories,
            boolean privateOnly,
            RangeConsumer ranges) throws IOException {
        Posix posix = pageTable.posix();
        long page = posix.getpagesize();
        long start = memory.address();
        if (start % page != 0) {
            throw new IllegalArgumentException("memory at " + Long.toHexString(start) + " starts inside a page");
        }
        RangeConsumer clipped = (address, lengthBytes) ->
                ranges.accept(address - start, Math.min(lengthBytes, memory.byteSize() - (address - start)));
        long end = start + roundUp(memory.byteSize(), page);
        if (posix.constants().operatingSystem() != OperatingSystem.LINUX) {
            clipped.accept(start, end - start);
            return;
        }
        scan(pageTable.descriptor(), pageTable.scanner(), start, end, page, categories, privateOnly, clipped);
    }

    /**
     * Names the populated ranges of another process's anonymous memory, as addresses.
     *
     * @param pagemap {@code /proc/PID/pagemap}, open for reading
     * @param address where the range starts in that process: on a page boundary
     */
    public static void ofProcess(Descriptor pagemap, long address, long lengthBytes, RangeConsumer ranges)
            throws IOException {
        checkRange(address, lengthBytes);
        long page = pagemap.posix().getpagesize();
        if (address % page != 0) {
            throw new IllegalArgumentException("memory at " + Long.toHexString(address) + " starts inside a page");
        }
        long end = address + lengthBytes;
        try (PageMapScan scanner = new PageMapScan()) {
            scan(pagemap, scanner, address, roundUp(end, page), page, POPULATED, false,
                    (at, length) -> ranges.accept(at, Math.min(length, end - at)));
        }
    }

    private static void scan(Descriptor pagemap, PageMapScan scanner, long start, long end, long page,
            Categories categories, boolean privateOnly, RangeConsumer runs) throws IOException {
        try {
            scanner.scan(pagemap, start, end, 0, categories, runs);
        } catch (SystemCallException failure) {
            // Kernels before 6.7 fail the whole scan before it names anything.
            if (failure.errno() != Errno.ENOTTY) {
                throw failure;
            }
            readEntries(pagemap, start, end, page, privateOnly, runs);
        }
    }

    private static void readEntries(Descriptor pagemap, long start, long end, long page, boolean privateOnly,
            RangeConsumer runs) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment entries = arena.allocate(ENTRIES * Long.BYTES, Long.BYTES);
            long runStart = -1;
            for (long at = start; at < end;) {
                long pages = Math.min(ENTRIES, (end - at) / page);
                pagemap.readFully(entries.asSlice(0, pages * Long.BYTES), at / page * Long.BYTES);
                for (long index = 0; index < pages; index++, at += page) {
                    long entry = entries.getAtIndex(ValueLayout.JAVA_LONG, index);
                    boolean populated = (entry & (ENTRY_PRESENT | ENTRY_SWAPPED)) != 0
                            && !(privateOnly && (entry & ENTRY_FILE) != 0);
                    if (populated && runStart < 0) {
                        runStart = at;
                    } else if (!populated && runStart >= 0) {
                        runs.accept(runStart, at - runStart);
                        runStart = -1;
                    }
                }
            }
            if (runStart >= 0) {
                runs.accept(runStart, end - runStart);
            }
        }
    }

    /** Throws unless the file reaches to the end of the range, which may lie in the file's last page. */
    static void requireReach(Descriptor file, long offset, long lengthBytes) throws IOException {
        Stat status = file.status();
        long reach = roundUp(status.sizeBytes(), file.posix().getpagesize());
        if (status.isRegularFile() && offset + lengthBytes > reach) {
            throw new SnapshotException(file + " has " + status.sizeBytes() + " bytes; it was truncated, and "
                    + lengthBytes + " bytes from " + offset + " on are no longer there");
        }
    }

    static long roundUp(long value, long unit) {
        return Math.multiplyExact(Math.ceilDiv(value, unit), unit);
    }

    static void checkRange(long offset, long lengthBytes) {
        if (offset < 0 || lengthBytes < 0 || offset + lengthBytes < 0) {
            throw new IllegalArgumentException("no range has offset " + offset + " and length " + lengthBytes);
        }
    }
}
