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

/** Puts a composed image together in one file that needs no base. */
public final class Composition {
    private static final long BUFFER_BYTES = 4L << 20;

    private Composition() {
    }

    /**
     * Into an empty file: what any of the images holds is copied, the rest stays a hole.
     *
     * @param checks is shown every page in the same pass; empty where nobody asks
     */
    public static void intoEmpty(ComposedImage image, StorageFile target, Optional<PageChecks> checks, int threads,
            Progress progress) throws IOException {
        target.resize(image.layout().lengthBytes(), Preallocation.NONE);
        MemoryWriter.into(target.descriptor(), image.layout()).through(target).checks(checks)
                .zeros(Zeros.suiting(target.descriptor())).threads(threads).progress(progress).startingAsZeros()
                .everything(image);
    }

    /**
     * Onto a block device that is long enough: every byte is written, zeros too.
     *
     * @param checks is shown every page in the same pass; empty where nobody asks
     */
    public static void ontoDevice(ComposedImage image, StorageFile device, Optional<PageChecks> checks, int threads,
            Progress progress) throws IOException {
        MemoryWriter.into(device.descriptor(), image.layout()).through(device).checks(checks).zeros(Zeros.DENSE)
                .threads(threads).progress(progress).startingAsZeros().everything(image);
    }

    /**
     * Into a clone of the last base: what the images above it hold is copied over it.
     *
     * @param checks is shown every page of the outcome, which is read for that; empty where nobody asks
     */
    public static void intoCloneOfBase(ComposedImage image, StorageFile target, Optional<PageChecks> checks,
            int threads, Progress progress) throws IOException {
        if (checks.isEmpty()) {
            overlay(image, target, progress);
            return;
        }
        long lengthBytes = image.layout().lengthBytes();
        // The reading afterwards takes longer, and is what progress tells of; until then it may only be stopped.
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
