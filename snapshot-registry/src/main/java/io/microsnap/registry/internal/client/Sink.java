package io.microsnap.registry.internal.client;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/** Takes the body of a successful answer, piece by piece. */
interface Sink {
    /** Takes the next piece; an exception ends the transfer. */
    void accept(ByteBuffer piece) throws IOException;

    /** Returns the most bytes that it takes: a longer body is refused before it is read. */
    long mostBytes();

    /** Fills memory from its start. */
    static Sink into(MemorySegment target) {
        return new Sink() {
            private long at;

            @Override
            public void accept(ByteBuffer piece) {
                int length = piece.remaining();
                MemorySegment.copy(MemorySegment.ofBuffer(piece), 0, target, at, length);
                at += length;
            }

            @Override
            public long mostBytes() {
                return target.byteSize();
            }
        };
    }

    /** Collects a document. */
    static Sink into(ByteArrayOutputStream target, long mostBytes) {
        return new Sink() {
            @Override
            public void accept(ByteBuffer piece) {
                byte[] bytes = new byte[piece.remaining()];
                piece.get(bytes);
                target.writeBytes(bytes);
            }

            @Override
            public long mostBytes() {
                return mostBytes;
            }
        };
    }
}
