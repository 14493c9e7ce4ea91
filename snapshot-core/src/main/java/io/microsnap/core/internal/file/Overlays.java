package io.microsnap.core.internal.file;

import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

/** The overlays of a mapping: which file is visible where. */
final class Overlays {
    private final NavigableMap<Long, Part> byStart = new TreeMap<>();
    private final Map<Descriptor, DataRanges> files = new HashMap<>();

    /** A file, and what is added to an offset in the mapping to get the offset in the file. */
    private record Source(DataRanges file, long shift) {
    }

    private record Part(long end, Source source) {
    }

    /** Adds an overlay, which hides what lay there before. */
    void add(long at, long lengthBytes, Descriptor file, long fileOffset) {
        long end = at + lengthBytes;
        Map.Entry<Long, Part> last = byStart.lastEntry();
        // Fast path: layers usually come in ascending order, and there may be thousands.
        if (last != null && last.getValue().end > at) {
            cut(at);
            cut(end);
            byStart.subMap(at, end).clear();
        }
        DataRanges data = files.computeIfAbsent(file, DataRanges::new);
        byStart.put(at, new Part(end, new Source(data, fileOffset - at)));
    }

    private void cut(long offset) {
        Map.Entry<Long, Part> before = byStart.lowerEntry(offset);
        if (before != null && before.getValue().end > offset) {
            byStart.put(offset, before.getValue());
            byStart.put(before.getKey(), new Part(offset, before.getValue().source));
        }
    }

    boolean isEmpty() {
        return byStart.isEmpty();
    }

    /** Names where these files have data within a range of the mapping, in any order. Asks about each file once. */
    void populated(long offset, long lengthBytes, RangeConsumer ranges) throws IOException {
        Map<Source, RangeSet> visible = new HashMap<>();
        long end = offset + lengthBytes;
        Long first = byStart.floorKey(offset);
        for (Map.Entry<Long, Part> entry
                : byStart.subMap(first == null ? offset : first, true, end, false).entrySet()) {
            Part part = entry.getValue();
            long from = Math.max(offset, entry.getKey());
            long to = Math.min(end, part.end);
            if (to > from) {
                visible.computeIfAbsent(part.source, source -> new RangeSet()).add(from, to - from);
            }
        }
        for (Map.Entry<Source, RangeSet> entry : visible.entrySet()) {
            Source source = entry.getKey();
            RangeSet parts = entry.getValue();
            long from = parts.start();
            source.file.requireReach(from + source.shift, parts.end() - from);
            source.file.within(from + source.shift, parts.end() - from,
                    (at, length) -> parts.forEachWithin(at - source.shift, length, ranges));
        }
    }
}
