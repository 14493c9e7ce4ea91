package io.microsnap.core.testing;

import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.function.BiConsumer;

/** Which addresses are mapped: a later mapping may replace parts of an earlier one, and parts may be unmapped. */
final class MappedRanges {
    private final NavigableMap<Long, Long> endByStart = new TreeMap<>();

    void add(long start, long length) {
        remove(start, length);
        endByStart.put(start, start + length);
    }

    void remove(long start, long length) {
        long end = start + length;
        Map.Entry<Long, Long> entry = endByStart.lowerEntry(end);
        while (entry != null && entry.getValue() > start) {
            endByStart.remove(entry.getKey());
            if (entry.getKey() < start) {
                endByStart.put(entry.getKey(), start);
            }
            if (entry.getValue() > end) {
                endByStart.put(end, entry.getValue());
            }
            entry = endByStart.lowerEntry(end);
        }
    }

    long bytes() {
        return endByStart.entrySet().stream().mapToLong(range -> range.getValue() - range.getKey()).sum();
    }

    void forEach(BiConsumer<Long, Long> addressAndLength) {
        endByStart.forEach((start, end) -> addressAndLength.accept(start, end - start));
    }

    void clear() {
        endByStart.clear();
    }
}
