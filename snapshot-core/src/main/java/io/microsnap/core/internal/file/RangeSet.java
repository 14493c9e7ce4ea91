package io.microsnap.core.internal.file;

import io.microsnap.core.RangeConsumer;
import java.io.IOException;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

/** A union of ranges: those that touch become one. */
final class RangeSet {
    private final NavigableMap<Long, Long> endByStart = new TreeMap<>();

    void add(long offset, long lengthBytes) {
        long start = offset;
        long end = offset + lengthBytes;
        Map.Entry<Long, Long> touching = endByStart.floorEntry(end);
        while (touching != null && touching.getValue() >= start) {
            endByStart.remove(touching.getKey());
            start = Math.min(start, touching.getKey());
            end = Math.max(end, touching.getValue());
            touching = endByStart.floorEntry(end);
        }
        endByStart.put(start, end);
    }

    /** Returns where the first range starts; there must be one. */
    long start() {
        return endByStart.firstKey();
    }

    /** Returns where the last range ends; there must be one. */
    long end() {
        return endByStart.lastEntry().getValue();
    }

    /** Names what lies within the range, ascending and clipped to it. */
    void forEachWithin(long offset, long lengthBytes, RangeConsumer ranges) throws IOException {
        long end = offset + lengthBytes;
        Long first = endByStart.floorKey(offset);
        for (Map.Entry<Long, Long> range : endByStart.subMap(first == null ? offset : first, true, end, false)
                .entrySet()) {
            long from = Math.max(offset, range.getKey());
            long to = Math.min(end, range.getValue());
            if (to > from) {
                ranges.accept(from, to - from);
            }
        }
    }
}
