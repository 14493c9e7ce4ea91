package io.microsnap.dedup;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.Steps;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Copies ranges of a target to the same offsets in another file, through a buffer, so that they get separate blocks.
 */
final class RangeCopy implements AutoCloseable {
    private static final long BUFFER_BYTES = 1L << 20;
    private static final long ALIGNMENT = 4096;

    private final Arena arena = Arena.ofConfined();
    private final MemorySegment buffer = arena.allocate(BUFFER_BYTES, ALIGNMENT);
    private final Descriptor from;
    private final Descriptor to;
    private final Pacer pacer;

    RangeCopy(Descriptor from, Descriptor to, Pacer pacer) {
        this.from = from;
        this.to = to;
        this.pacer = pacer;
    }

    void copy(long offset, long lengthBytes, Steps steps) throws IOException {
        long end = offset + lengthBytes;
        for (long at = offset; at < end;) {
            MemorySegment part = buffer.asSlice(0, Math.min(BUFFER_BYTES, end - at));
            pacer.await(part.byteSize());
            if (from.read(part, at) < part.byteSize()) {
                throw new NotDeduplicatedException(Reason.TARGET_CHANGED, from + " was shortened while it was copied");
            }
            to.writeFully(part, at);
            at += part.byteSize();
            steps.did(part.byteSize());
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}
