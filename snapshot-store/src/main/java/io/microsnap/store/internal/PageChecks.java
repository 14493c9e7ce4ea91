package io.microsnap.store.internal;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.file.Pages;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** Checks pages against their index, from any number of threads, and keeps the first bad ones. */
public final class PageChecks {
    /** The most bad pages that are listed one by one. */
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

    /**
     * Checks bytes of the image from an offset on, which is the start of a page. The memory must be of a kind that
     * cannot be truncated.
     */
    public void check(MemorySegment memory, long at, long imageOffset, long lengthBytes) throws IOException {
        long page = imageOffset / pageBytes;
        for (long done = 0; done < lengthBytes; done += pageBytes, page++) {
            int crc = Pages.crc32c(memory, at + done, Math.min(pageBytes, lengthBytes - done));
            if (crc != index.crc(page)) {
                foundBad(page);
            }
        }
    }

    /** Checks pages whose checksums the caller has computed already. */
    public void checkSums(long imageOffset, int[] crcs, int count) throws IOException {
        long first = imageOffset / pageBytes;
        for (int page = 0; page < count; page++) {
            if (crcs[page] != index.crc(first + page)) {
                foundBad(first + page);
            }
        }
    }

    /** Checks a range that reads as zeros and was not read. */
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

    /** Returns how many pages did not match the index. */
    public synchronized long badCount() {
        return bad;
    }

    /** Returns the image offsets of the first bad pages, in ascending order. */
    public synchronized List<Long> badOffsets() {
        return badPages.stream().sorted().limit(MOST_NAMED).map(page -> page * pageBytes).toList();
    }

    private synchronized void foundBad(long page) {
        bad++;
        badPages.add(page);
        if (badPages.size() > 2 * MOST_NAMED) {
            // Threads find bad pages in no order: keep the lowest.
            badPages.sort(null);
            badPages.subList(MOST_NAMED, badPages.size()).clear();
        }
    }
}
