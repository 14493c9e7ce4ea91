package io.microsnap.memory.internal.image;

import io.microsnap.core.Progress;
import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.Advice;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.file.MappingBudget;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Workers;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;
import java.util.Collections;

/**
 * Maps a composed image so that pages come in when they are touched: one layer as the ground, and over it the runs of
 * the others. Each run costs two calls, or one for a run of the base; the ground costs none.
 */
public final class LazyMapping {
    /** A quarter of Linux's default limit for a process. */
    public static final int DEFAULT_MAPPINGS = 16_384;
    /** An overlay is a mapping, and splits the mapping around it. */
    private static final int MAPPINGS_AN_OVERLAY = 2;

    private final ComposedImage image;
    private final Plan plan;
    private final int base;
    private final Mapping mapping;
    private final DirtyBitmap readIn;
    private long laidBytes;
    private long overlays;

    /**
     * Which layers and runs are mapped.
     *
     * @param shortestBytes the length from which on runs of the layers above the base are mapped
     * @param ground the layer that is mapped first, and whole
     */
    private record Plan(long shortestBytes, int ground) {
    }

    private LazyMapping(ComposedImage image, Plan plan) throws IOException {
        this.image = image;
        this.plan = plan;
        base = image.layers().size() - 1;
        mapping = Mapping.file(file(plan.ground), 0, image.layout().lengthBytes(), Access.PRIVATE);
        readIn = DirtyBitmap.of(image.layout());
    }

    /**
     * Maps an image; writes to the memory stay in this process. The image's descriptors must stay open as long as it is
     * mapped.
     *
     * @param mostMappings how many of the process's remaining mappings it may take; if these are too few, the shortest
     * runs are read in
     * @param threads how many read them
     */
    public static LazyMapping map(ComposedImage image, int mostMappings, int threads) throws IOException {
        boolean hasRuns = image.layers().size() > 1;
        MappingBudget.Share share = MappingBudget.ofProcess().take(hasRuns ? mostMappings : 0);
        try {
            LazyMapping lazy = laid(image, plan(image, share.count()), threads);
            share.laid(Math.min(share.count(), MAPPINGS_AN_OVERLAY * lazy.overlays));
            lazy.mapping.owns(share);
            return lazy;
        } catch (Throwable failure) {
            try (share) {
                throw failure;
            }
        }
    }

    private static LazyMapping laid(ComposedImage image, Plan plan, int threads) throws IOException {
        LazyMapping lazy = new LazyMapping(image, plan);
        try {
            lazy.lay();
            lazy.readShortRuns(threads);
            return lazy;
        } catch (Throwable failure) {
            try (lazy.mapping) {
                throw failure;
            }
        }
    }

    /** Returns the guest's memory, which the caller closes. */
    public Mapping mapping() {
        return mapping;
    }

    /** Returns the pages that were read in because mappings were missing. This mapping owns the bitmap. */
    public DirtyBitmap readIn() {
        return readIn;
    }

    /** Returns the object that names, from now on, the pages that differ from the image. */
    public ChangedPages changedPages() {
        return new ChangedPages(image, mapping, readIn.copy());
    }

    private static Plan plan(ComposedImage image, long mostMappings) throws IOException {
        int base = image.layers().size() - 1;
        if (image.layout().pageBytes() % image.layers().getFirst().image().posix().getpagesize() != 0) {
            // Runs of pages smaller than the host's cannot be mapped.
            return new Plan(Long.MAX_VALUE, base);
        }
        for (ComposedImage.Layer layer : image.layers().subList(0, base)) {
            // The plan walks each whole map: load it in one read instead of one for each chunk.
            layer.own().verify();
        }
        long[][] runs = new long[Long.SIZE - 1][base];
        image.pieces(0, image.layout().lengthBytes(), (layer, offset, lengthBytes) -> {
            if (layer != base) {
                runs[Long.SIZE - 1 - Long.numberOfLeadingZeros(lengthBytes)][layer]++;
            }
        });
        long[] mapped = new long[base];
        long left = mostMappings / MAPPINGS_AN_OVERLAY;
        for (int power = Long.SIZE - 2; power >= 0; power--) {
            for (int layer = 0; layer < base; layer++) {
                left -= runs[power][layer];
            }
            if (left < 0) {
                return new Plan(1L << (power + 1), ground(mapped));
            }
            for (int layer = 0; layer < base; layer++) {
                mapped[layer] += runs[power][layer];
            }
        }
        return new Plan(1, ground(mapped));
    }

    /** Returns the layer that holds more runs than all others above the base together; if there is none, the base. */
    private static int ground(long[] mapped) {
        long all = 0;
        int most = 0;
        for (int layer = 0; layer < mapped.length; layer++) {
            all += mapped[layer];
            most = mapped[layer] > mapped[most] ? layer : most;
        }
        return all > 0 && mapped[most] > all / 2 ? most : mapped.length;
    }

    private void lay() throws IOException {
        long lengthBytes = mapping.lengthBytes();
        if (plan.ground != base) {
            advise(0, lengthBytes);
        }
        image.pieces(0, lengthBytes, this::lay);
        layBaseTo(lengthBytes);
    }

    private void readShortRuns(int threads) throws IOException {
        if (readIn.isEmpty()) {
            return;
        }
        ChunkedWork.Worker reader = (offset, lengthBytes) -> image.pieces(offset, lengthBytes, this::readIfShort);
        try (Workers workers = Workers.started("read", threads - 1)) {
            ChunkedWork.run(workers, Collections.nCopies(threads, reader), mapping.lengthBytes(), Progress.NONE);
        }
    }

    private void lay(int layer, long offset, long lengthBytes) throws IOException {
        if (layer == base) {
            return;
        }
        if (lengthBytes < plan.shortestBytes) {
            readIn.mark(offset, lengthBytes);
            return;
        }
        layBaseTo(offset);
        if (layer != plan.ground) {
            overlay(layer, offset, lengthBytes);
            advise(offset, lengthBytes);
        }
        laidBytes = offset + lengthBytes;
    }

    private void layBaseTo(long end) throws IOException {
        if (plan.ground != base && laidBytes < end) {
            overlay(base, laidBytes, end - laidBytes);
        }
    }

    private void overlay(int layer, long offset, long lengthBytes) throws IOException {
        mapping.overlay(offset, file(layer), offset, lengthBytes);
        overlays++;
    }

    /** Switches read-ahead off: it would fill the page cache with the holes between an image's runs. */
    private void advise(long offset, long lengthBytes) throws IOException {
        mapping.advise(offset, lengthBytes, Advice.RANDOM);
    }

    private void readIfShort(int layer, long offset, long lengthBytes) throws IOException {
        if (layer != base && lengthBytes < plan.shortestBytes) {
            file(layer).readFully(mapping.segment().asSlice(offset, lengthBytes), offset);
        }
    }

    private Descriptor file(int layer) {
        return image.layers().get(layer).image();
    }
}
