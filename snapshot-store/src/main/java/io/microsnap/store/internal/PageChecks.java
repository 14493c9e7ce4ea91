package io.microsnap.store.internal;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.file.Pages;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** Holds pages against their index, from any number of threads, and keeps the first that are not what it says. */
public final class PageChecks {
    /** As many bad pages as anybody will look at one by one. */
    private static final int MOST_NAMED = 100;

    private final PageIndex index;
    private final GuestLayout layout;
    private final int pageBytes;
    private final List<Long> badPages = new ArrayList<>();
    private long bad;

    public PageChecks(PageIndex index) {
        this.index = index;
        layout = index.layout();
        pageBytes = layout.pageBytes();
    }

    /** The bytes of the image from an offset on, which is a page's first; in memory that nobody can truncate. */
    public void check(MemorySegment memory, long at, long imageOffset, long lengthBytes) throws IOException {
        long page = imageOffset / pageBytes;
        for (long done = 0; done < lengthBytes; done += pageBytes, page++) {
            int crc = Pages.crc32c(memory, at + done, Math.min(pageBytes, lengthBytes - done));
            if (crc != index.crc(page)) {
                foundBad(page);
            }
        }
    }

    /** As above, of pages whose checksums somebody has taken already. */
    public void checkSums(long imageOffset, int[] crcs, int count) throws IOException {
        long first = imageOffset / pageBytes;
        for (int page = 0; page < count; page++) {
            if (crcs[page] != index.crc(first + page)) {
                foundBad(first + page);
            }
        }
    }

    /** A range that reads as zeros and was not read. */
    public void checkZero(long imageOffset, long lengthBytes) throws IOException {
        long end = Math.ceilDiv(imageOffset + lengthBytes, (long) pageBytes);
        if (index.isZero(imageOffset / pageBytes, end - imageOffset / pageBytes)) {
            return;
        }
        for (long page = imageOffset / pageBytes; page < end; page++) {
            if (!index.isZero(page)) {
                foundBad(page);
            }
        }
    }

    /** How many pages were not what the index says. */
    public synchronized long badCount() {
        return bad;
    }

    /** The first of them, in ascending order, by image offset. */
    public synchronized List<Long> badOffsets() {
        return badPages.stream().sorted().limit(MOST_NAMED).map(page -> page * pageBytes).toList();
    }

    private synchronized void foundBad(long page) {
        bad++;
        badPages.add(page);
        if (badPages.size() > 2 * MOST_NAMED) {
            // Threads come upon pages in no order: the lowest are kept.
            badPages.sort(null);
            badPages.subList(MOST_NAMED, badPages.size()).clear();
        }
    }
}
