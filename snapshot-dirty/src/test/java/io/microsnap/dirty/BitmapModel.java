package io.microsnap.dirty;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.RangeConsumer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/** Dirty blocks, the slow and obvious way: what a {@link DirtyBitmap} must agree with. */
final class BitmapModel {
    /** A range that {@link DirtyBitmap#runs} handed out. */
    record Run(long offset, long lengthBytes) { }

    private final GuestLayout layout;
    private final long blockBytes;
    private final BitSet blocks = new BitSet();

    BitmapModel(GuestLayout layout, long blockBytes) {
        this.layout = layout;
        this.blockBytes = blockBytes;
    }

    static List<Run> runsOf(DirtyBitmap bitmap, long bridgeBytes) {
        return collected(runs -> bitmap.runs(bridgeBytes, runs));
    }

    static List<Run> runsOf(DirtyBitmap bitmap, long imageOffset, long lengthBytes) {
        return collected(runs -> bitmap.runs(imageOffset, lengthBytes, runs));
    }

    private interface Scan {
        void run(RangeConsumer runs) throws IOException;
    }

    private static List<Run> collected(Scan scan) {
        List<Run> runs = new ArrayList<>();
        try {
            scan.run((offset, lengthBytes) -> runs.add(new Run(offset, lengthBytes)));
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
        return runs;
    }

    BitSet blocks() {
        return blocks;
    }

    int blockCount() {
        return Math.toIntExact((layout.lengthBytes() + blockBytes - 1) / blockBytes);
    }

    boolean set(long offset) {
        int block = block(offset);
        boolean clean = !blocks.get(block);
        blocks.set(block);
        return clean;
    }

    void mark(long offset, long lengthBytes) {
        if (lengthBytes > 0) {
            blocks.set(block(offset), block(offset + lengthBytes - 1) + 1);
        }
    }

    void clear(long offset, long lengthBytes) {
        for (int block = 0; block < blockCount(); block++) {
            long start = block * blockBytes;
            long end = Math.min(start + blockBytes, layout.lengthBytes());
            if (start >= offset && end <= offset + lengthBytes) {
                blocks.clear(block);
            }
        }
    }

    long count(long offset, long lengthBytes) {
        return lengthBytes == 0 ? 0 : blocks.get(block(offset), block(offset + lengthBytes - 1) + 1).cardinality();
    }

    void or(BitmapModel other) {
        other.blocks.stream().forEach(block -> {
            long start = block * other.blockBytes;
            mark(start, Math.min(other.blockBytes, layout.lengthBytes() - start));
        });
    }

    void markPages(long offset, BitSet pages) {
        pages.stream().forEach(page -> set(offset + (long) page * layout.pageBytes()));
    }

    /** What of the exact runs lies in a range. */
    List<Run> runs(long imageOffset, long lengthBytes) {
        List<Run> parts = new ArrayList<>();
        for (Run run : runs(0)) {
            long from = Math.max(imageOffset, run.offset());
            long to = Math.min(imageOffset + lengthBytes, run.offset() + run.lengthBytes());
            if (from < to) {
                parts.add(new Run(from, to - from));
            }
        }
        return parts;
    }

    List<Run> runs(long bridgeBytes) {
        List<Run> runs = new ArrayList<>();
        int from = blocks.nextSetBit(0);
        while (from >= 0) {
            int to = blocks.nextClearBit(from);
            int next = blocks.nextSetBit(to);
            while (next >= 0 && (next - to) * blockBytes <= bridgeBytes) {
                to = blocks.nextClearBit(next);
                next = blocks.nextSetBit(to);
            }
            long start = from * blockBytes;
            runs.add(new Run(start, Math.min(to * blockBytes, layout.lengthBytes()) - start));
            from = next;
        }
        return runs;
    }

    private int block(long offset) {
        return (int) (offset / blockBytes);
    }
}
