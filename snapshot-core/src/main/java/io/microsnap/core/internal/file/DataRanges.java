package io.microsnap.core.internal.file;

import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;

/**
 * Where a file holds data, for callers that ask about one part after another. Remembers the range that was found last:
 * to find its end, filesystems walk through all its extents, and files in memory through all its pages.
 *
 * <p>Only data is remembered, not holes: data that is written meanwhile is found, and a hole that was punched
 * meanwhile may be named as data. Safe for use by any number of threads.
 */
public final class DataRanges {
    private final Descriptor file;
    private volatile Data known = new Data(0, 0);

    private record Data(long start, long end) {
    }

    /** Nothing is known yet. The owner of the file closes it. */
    public DataRanges(Descriptor file) {
        this.file = file;
    }

    /**
     * Throws if the file ends before the range does: the missing part is not zeros. The range may end within the
     * file's last page.
     */
    public void requireReach(long offset, long lengthBytes) throws IOException {
        PopulatedRanges.requireReach(file, offset, lengthBytes);
    }

    /** Names the ranges of data, ascending, clipped to the given range. Reads and allocates nothing. */
    public void within(long offset, long lengthBytes, RangeConsumer ranges) throws IOException {
        long end = offset + lengthBytes;
        long at = offset;
        while (at < end) {
            Data data = known;
            if (at < data.start || at >= data.end) {
                data = find(at, end);
                if (data == null) {
                    return;
                }
                known = data;
            }
            long from = Math.max(at, data.start);
            long to = Math.min(end, data.end);
            if (to > from) {
                ranges.accept(from, to - from);
            }
            at = data.end;
        }
    }

    private Data find(long from, long before) throws IOException {
        Data[] found = new Data[1];
        Extents.firstData(file, from, before, (start, lengthBytes) -> found[0] = new Data(start, start + lengthBytes));
        return found[0];
    }
}
