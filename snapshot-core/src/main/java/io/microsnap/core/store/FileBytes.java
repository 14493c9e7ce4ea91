package io.microsnap.core.store;

import io.microsnap.core.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

final class FileBytes {
    private static final long BUFFER_BYTES = 1 << 20;

    private FileBytes() {
    }

    static void copy(Descriptor from, Descriptor to) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(BUFFER_BYTES);
            long size = from.sizeBytes();
            for (long at = 0; at < size; at += BUFFER_BYTES) {
                MemorySegment part = buffer.asSlice(0, Math.min(BUFFER_BYTES, size - at));
                from.readFully(part, at);
                to.writeFully(part, at);
            }
        }
    }
}
