package io.microsnap.memory.internal.image;

import io.microsnap.core.Progress;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Puts a composed image together in one file that needs no base. */
public final class Composition {
    private static final long BUFFER_BYTES = 1L << 20;

    private Composition() {
    }

    /** Into an empty file: what any of the images holds is copied, the rest stays a hole. */
    public static void intoEmpty(ComposedImage image, Descriptor target, int lanes, Progress progress)
            throws IOException {
        target.truncate(image.layout().lengthBytes());
        ImageWriter.into(target, image.layout()).zeros(Zeros.suiting(target)).lanes(lanes).progress(progress)
                .startingAsZeros().everything(image);
    }

    /** Into a clone of the last base: what the images above it hold is copied over it. */
    public static void intoCloneOfBase(ComposedImage image, Descriptor target, Progress progress) throws IOException {
        int base = image.layers().size() - 1;
        long lengthBytes = image.layout().lengthBytes();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(BUFFER_BYTES, image.layout().pageBytes());
            image.pieces(0, lengthBytes, (layer, offset, length) -> {
                if (layer != base) {
                    copy(image.layers().get(layer).image(), target, buffer, offset, length);
                    progress.advanced(offset + length, lengthBytes);
                }
            });
        }
        progress.advanced(lengthBytes, lengthBytes);
    }

    private static void copy(Descriptor source, Descriptor target, MemorySegment buffer, long offset, long lengthBytes)
            throws IOException {
        for (long done = 0; done < lengthBytes;) {
            MemorySegment piece = buffer.asSlice(0, Math.min(BUFFER_BYTES, lengthBytes - done));
            source.readFully(piece, offset + done);
            target.writeFully(piece, offset + done);
            done += piece.byteSize();
        }
    }
}
