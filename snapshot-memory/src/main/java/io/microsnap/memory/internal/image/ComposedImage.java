package io.microsnap.memory.internal.image;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.file.DataRanges;
import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.store.internal.PageMap;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * A guest's memory, composed of an image and the bases it needs and read through their page maps. The owner of the
 * descriptors and maps closes them.
 */
public final class ComposedImage implements PageReader {
    private final GuestLayout layout;
    private final List<Layer> layers;
    private final List<Reads> reads;
    private final DataRanges base;

    /** Fills a buffer from a layer's image. */
    @FunctionalInterface
    private interface Reads {
        void fill(MemorySegment destination, long offset) throws IOException;
    }

    /**
     * One image of the chain.
     *
     * @param name the snapshot it belongs to, for messages
     * @param image its memory file
     * @param own the pages it holds itself; null for the last of a chain, which holds all of them
     */
    public record Layer(String name, Descriptor image, PageMap own) {
    }

    /** Takes the parts of a range in ascending order, each from one layer. */
    @FunctionalInterface
    public interface Pieces {
        void accept(int layer, long offset, long lengthBytes) throws IOException;
    }

    private ComposedImage(GuestLayout layout, List<Layer> layers, List<Reads> reads) {
        this.layout = layout;
        this.layers = layers;
        this.reads = reads;
        base = new DataRanges(layers.getLast().image);
    }

    /** Returns the same image with its layers read through these files, one for each layer; their owner closes them. */
    public ComposedImage through(List<StorageFile> files) {
        if (files.size() != layers.size()) {
            throw new IllegalArgumentException(files.size() + " files for " + layers.size() + " layers");
        }
        List<Reads> through = new ArrayList<>();
        files.forEach(file -> through.add(file::read));
        return new ComposedImage(layout, layers, List.copyOf(through));
    }

    /** Composes layers, from the image itself down to the base that holds every page; each is as long as the guest. */
    public static ComposedImage of(GuestLayout layout, List<Layer> layers) throws IOException {
        for (int number = 0; number < layers.size(); number++) {
            Layer layer = layers.get(number);
            boolean last = number == layers.size() - 1;
            if (last != (layer.own == null)) {
                throw new IllegalArgumentException(layer.name + (last ? " is the last of its chain, but has a page map"
                        : " needs a base, but has no page map"));
            }
            long sizeBytes = layer.image.sizeBytes();
            if (sizeBytes != layout.lengthBytes()) {
                throw new DamagedException("snapshot " + layer.name + ": " + layer.image + " has " + sizeBytes
                        + " bytes, but its guest has " + layout.lengthBytes());
            }
        }
        List<Reads> reads = new ArrayList<>();
        layers.forEach(layer -> reads.add(layer.image::readFully));
        return new ComposedImage(layout, List.copyOf(layers), List.copyOf(reads));
    }

    public List<Layer> layers() {
        return layers;
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    /** Names the layer of each part of a range that starts on a page; parts are as long as possible. */
    public void pieces(long offset, long lengthBytes, Pieces pieces) throws IOException {
        descend(0, offset, offset + lengthBytes, pieces);
    }

    private void descend(int number, long from, long to, Pieces pieces) throws IOException {
        PageMap own = layers.get(number).own;
        if (own == null) {
            pieces.accept(number, from, to - from);
            return;
        }
        long pageBytes = layout.pageBytes();
        long at = from;
        while (at < to) {
            long held = Math.min(to, own.nextMarked(at / pageBytes, Math.ceilDiv(to, pageBytes)) * pageBytes);
            if (held > at) {
                descend(number + 1, at, held, pieces);
            }
            if (held < to) {
                long end = Math.min(to, own.nextClear(held / pageBytes) * pageBytes);
                pieces.accept(number, held, end - held);
                held = end;
            }
            at = held;
        }
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) throws IOException {
        if (layers.size() == 1) {
            reads.getFirst().fill(destination, imageOffset);
            return;
        }
        long start = imageOffset - imageOffset % layout.pageBytes();
        long end = imageOffset + destination.byteSize();
        pieces(start, end - start, (layer, offset, length) -> {
            long from = Math.max(offset, imageOffset);
            reads.get(layer).fill(destination.asSlice(from - imageOffset, offset + length - from), from);
        });
    }

    @Override
    public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        base.requireReach(imageOffset, lengthBytes);
        pieces(imageOffset, lengthBytes, (layer, offset, length) -> {
            if (layers.get(layer).own == null) {
                base.within(offset, length, ranges);
            } else {
                ranges.accept(offset, length);
            }
        });
    }

    @Override
    public String toString() {
        return "snapshot " + layers.getFirst().name;
    }
}
