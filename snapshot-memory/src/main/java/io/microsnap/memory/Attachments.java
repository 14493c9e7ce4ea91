package io.microsnap.memory;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.file.PopulatedRanges;
import io.microsnap.core.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Copies what cannot be cloned, holes and all. */
final class Attachments {
    private static final long BUFFER_BYTES = 1 << 20;

    private Attachments() {
    }

    static void copy(Descriptor source, Descriptor destination) throws IOException {
        if (!source.status().isRegularFile()) {
            throw new SnapshotException(source + " cannot be attached: it is not a plain file");
        }
        long sizeBytes = source.sizeBytes();
        destination.truncate(sizeBytes);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(BUFFER_BYTES);
            PopulatedRanges.ofFile(source, 0, sizeBytes, (offset, lengthBytes) -> {
                for (long done = 0; done < lengthBytes;) {
                    MemorySegment piece = buffer.asSlice(0, Math.min(BUFFER_BYTES, lengthBytes - done));
                    source.readFully(piece, offset + done);
                    destination.writeFully(piece, offset + done);
                    done += piece.byteSize();
                }
            });
        }
    }
}
