package io.microsnap.memory.internal.image;

import io.microsnap.core.Progress;
import io.microsnap.core.internal.file.Preallocation;
import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.store.internal.PageChecks;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;

/** Writes a composed image into one file that needs no base. */
public final class Composition {
    private static final long BUFFER_BYTES = 4L << 20;

    private Composition() {
    }

    /**
     * Fills an empty file: copies the data of all images, and leaves the rest a hole.
     *
     * @param checks receives every page in the same pass; empty for no checks
     */
    public static void intoEmpty(ComposedImage image, StorageFile target, Optional<PageChecks> checks, int threads,
            Progress progress) throws IOException {
        target.resize(image.layout().lengthBytes(), Preallocation.NONE);
        MemoryWriter.into(target.descriptor(), image.layout()).through(target).checks(checks)
                .zeros(Zeros.suiting(target.descriptor())).threads(threads).progress(progress).startingAsZeros()
                .everything(image);
    }

    /**
     * Fills a block device that is long enough: writes every byte, zeros too.
     *
     * @param checks receives every page in the same pass; empty for no checks
     */
    public static void ontoDevice(ComposedImage image, StorageFile device, Optional<PageChecks> checks, int threads,
            Progress progress) throws IOException {
        MemoryWriter.into(device.descriptor(), image.layout()).through(device).checks(checks).zeros(Zeros.DENSE)
                .threads(threads).progress(progress).startingAsZeros().everything(image);
    }

    /**
     * Fills a clone of the last base: copies the data of the images above it.
     *
     * @param checks receives every page of the result, which is read for that; empty for no checks
     */
    public static void intoCloneOfBase(ComposedImage image, StorageFile target, Optional<PageChecks> checks,
            int threads, Progress progress) throws IOException {
        if (checks.isEmpty()) {
            overlay(image, target, progress);
            return;
        }
        long lengthBytes = image.layout().lengthBytes();
        // Reading the result takes longer, so progress covers only that; the copying can only be stopped.
        overlay(image, target, (done, total) -> progress.advanced(0, lengthBytes));
        ComposedImage.Layer outcome =
                new ComposedImage.Layer(image.layers().getFirst().name(), target.descriptor(), null);
        ComposedImage written = ComposedImage.of(image.layout(), List.of(outcome)).through(List.of(target));
        ImageReads.check(written, checks.get(), threads, progress);
    }

    private static void overlay(ComposedImage image, StorageFile target, Progress progress) throws IOException {
        int base = image.layers().size() - 1;
        long lengthBytes = image.layout().lengthBytes();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(BUFFER_BYTES, image.layout().pageBytes());
            image.pieces(0, lengthBytes, (layer, offset, length) -> {
                if (layer != base) {
                    copy(image, target, buffer, offset, length);
                    progress.advanced(offset + length, lengthBytes);
                }
            });
        }
        progress.advanced(lengthBytes, lengthBytes);
    }

    private static void copy(ComposedImage source, StorageFile target, MemorySegment buffer, long offset,
            long lengthBytes) throws IOException {
        for (long done = 0; done < lengthBytes;) {
            MemorySegment piece = buffer.asSlice(0, Math.min(BUFFER_BYTES, lengthBytes - done));
            source.read(offset + done, piece);
            target.write(piece, offset + done);
            done += piece.byteSize();
        }
    }
}
