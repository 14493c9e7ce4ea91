package io.microsnap.memory.image;

import io.microsnap.core.file.Access;
import io.microsnap.core.file.Advice;
import io.microsnap.core.file.Mapping;
import io.microsnap.core.posix.Descriptor;
import java.io.IOException;

/**
 * Maps a composed image so that pages come in when they are touched: the last base privately, and over it, run by run,
 * what the images above it hold themselves.
 */
public final class LazyMapping {
    /** A quarter of what Linux allows a process unless told otherwise. */
    public static final int DEFAULT_MAPPINGS = 16_384;

    private LazyMapping() {
    }

    /**
     * Memory with the guest's bytes; what is written to it stays in this process. The image's descriptors must stay
     * open as long as it is mapped.
     *
     * @param mostMappings how many mappings it may take; where that is too few the shortest runs are read in
     */
    public static Mapping map(ComposedImage image, int mostMappings) throws IOException {
        long lengthBytes = image.layout().lengthBytes();
        Descriptor last = image.layers().getLast().image();
        Mapping mapping = Mapping.file(last, 0, lengthBytes, Access.PRIVATE);
        try {
            if (image.layers().size() > 1) {
                overlay(image, mapping, shortestToMap(image, mostMappings));
            }
            return mapping;
        } catch (IOException | RuntimeException | Error failure) {
            try {
                mapping.close();
            } catch (IOException second) {
                failure.addSuppressed(second);
            }
            throw failure;
        }
    }

    private static void overlay(ComposedImage image, Mapping mapping, long shortestBytes) throws IOException {
        int base = image.layers().size() - 1;
        image.pieces(0, image.layout().lengthBytes(), (layer, offset, lengthBytes) -> {
            if (layer == base) {
                return;
            }
            Descriptor file = image.layers().get(layer).image();
            if (lengthBytes >= shortestBytes) {
                mapping.overlay(offset, file, offset, lengthBytes);
                // Reading ahead would fill the page cache with the holes between an image's runs.
                mapping.advise(offset, lengthBytes, Advice.RANDOM);
            } else {
                file.readFully(mapping.segment().asSlice(offset, lengthBytes), offset);
            }
        });
    }

    /** The length from which on runs are mapped: a power of two, or never. */
    private static long shortestToMap(ComposedImage image, int mostMappings) throws IOException {
        if (image.layout().pageBytes() % image.layers().getFirst().image().posix().getpagesize() != 0) {
            // Runs of pages smaller than the host's cannot be mapped.
            return Long.MAX_VALUE;
        }
        long[] runsOfLength = new long[Long.SIZE];
        int base = image.layers().size() - 1;
        image.pieces(0, image.layout().lengthBytes(), (layer, offset, lengthBytes) -> {
            if (layer != base) {
                runsOfLength[Long.SIZE - 1 - Long.numberOfLeadingZeros(lengthBytes)]++;
            }
        });
        // A run takes a mapping, and splits the one it lies in.
        long left = mostMappings / 2;
        for (int power = Long.SIZE - 2; power >= 0; power--) {
            left -= runsOfLength[power];
            if (left < 0) {
                return 1L << (power + 1);
            }
        }
        return 1;
    }
}
