package io.microsnap.core.internal.file;

import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.PageMapScan;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Answers which pages of this process are present or written, from {@code /proc/self/pagemap}. It opens the file on
 * first use and keeps it open, because most questions concern few pages and cost less than opening. Use it from one
 * thread at a time.
 */
final class ProcessPageTable implements AutoCloseable {
    /** The largest range that one call of {@code mincore} covers. */
    static final int MOST_RESIDENT_PAGES = 16_384;

    private static final MemorySegment RESIDENT = allOnes();

    private final Posix posix;
    // Made when it is needed: closing it stops all threads for a moment, and most mappings are never asked.
    private Arena arena;
    private Descriptor descriptor;
    private PageMapScan scanner;
    private MemorySegment residency;

    ProcessPageTable(Posix posix) {
        this.posix = posix;
    }

    private static MemorySegment allOnes() {
        byte[] ones = new byte[MOST_RESIDENT_PAGES];
        Arrays.fill(ones, (byte) 1);
        return MemorySegment.ofArray(ones).asReadOnly();
    }

    Posix posix() {
        return posix;
    }

    Descriptor descriptor() throws IOException {
        if (descriptor == null) {
            descriptor = Descriptor.open(posix, Path.of("/proc/self/pagemap"), posix.constants().O_RDONLY, 0);
        }
        return descriptor;
    }

    PageMapScan scanner() {
        if (scanner == null) {
            scanner = new PageMapScan();
        }
        return scanner;
    }

    /**
     * Returns whether every page of a range is certainly in memory. This takes a tenth of the time of a page table
     * scan. It is false if a page was never populated, and may be false if one was swapped out.
     *
     * @param address of a page
     */
    boolean isResident(long address, long lengthBytes) {
        long pages = Math.ceilDiv(lengthBytes, (long) posix.getpagesize());
        if (pages > MOST_RESIDENT_PAGES || posix.constants().operatingSystem() != OperatingSystem.LINUX) {
            return false;
        }
        MemorySegment asked = residency().asSlice(0, pages);
        // A failed or interrupted call only means that the answer is unknown.
        return posix.mincore(address, lengthBytes, asked) == 0 && asked.mismatch(RESIDENT.asSlice(0, pages)) < 0;
    }

    /**
     * Names the pages of a range that are in memory; all of them where the system cannot tell. The last range may reach
     * to the end of its page.
     *
     * @param address of a page
     */
    void resident(long address, long lengthBytes, RangeConsumer ranges) throws IOException {
        long page = posix.getpagesize();
        if (posix.constants().operatingSystem() != OperatingSystem.LINUX) {
            ranges.accept(address, lengthBytes);
            return;
        }
        MemorySegment answer = residency();
        long end = address + lengthBytes;
        long runStart = -1;
        for (long at = address; at < end;) {
            long pages = Math.min(MOST_RESIDENT_PAGES, Math.ceilDiv(end - at, page));
            boolean told = posix.mincore(at, Math.min(pages * page, end - at), answer.asSlice(0, pages)) == 0;
            for (long index = 0; index < pages; index++) {
                boolean resident = !told || (answer.get(ValueLayout.JAVA_BYTE, index) & 1) != 0;
                if (resident && runStart < 0) {
                    runStart = at + index * page;
                } else if (!resident && runStart >= 0) {
                    ranges.accept(runStart, at + index * page - runStart);
                    runStart = -1;
                }
            }
            at += pages * page;
        }
        if (runStart >= 0) {
            ranges.accept(runStart, end - runStart);
        }
    }

    private MemorySegment residency() {
        if (arena == null) {
            arena = Arena.ofShared();
            residency = arena.allocate(MOST_RESIDENT_PAGES);
        }
        return residency;
    }

    /** Frees the buffers and closes the file. Do not use the object afterwards. */
    @Override
    public void close() throws IOException {
        if (arena != null) {
            arena.close();
        }
        if (scanner != null) {
            scanner.close();
        }
        if (descriptor != null) {
            descriptor.close();
        }
    }
}
