package io.microsnap.registry.internal.client;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The body of a request. It can be read more than once, because requests are retried.
 *
 * @param lengthBytes how long it is
 * @param source opens it at its start
 */
public record Body(long lengthBytes, Source source) {
    /** The source of the bytes. */
    @FunctionalInterface
    public interface Source {
        /** Opens the bytes at their start. */
        InputStream open() throws IOException;
    }

    /** Sends a document. */
    public static Body of(byte[] content) {
        return new Body(content.length, () -> new ByteArrayInputStream(content));
    }

    /** Sends memory. */
    public static Body of(MemorySegment memory) {
        return new Body(memory.byteSize(), () -> new InputStream() {
            private long at;

            @Override
            public int read() {
                return at < memory.byteSize() ? memory.get(ValueLayout.JAVA_BYTE, at++) & 0xff : -1;
            }

            @Override
            public int read(byte[] target, int from, int count) {
                int length = (int) Math.min(count, memory.byteSize() - at);
                if (length <= 0) {
                    return count == 0 ? 0 : -1;
                }
                MemorySegment.copy(memory, ValueLayout.JAVA_BYTE, at, target, from, length);
                at += length;
                return length;
            }
        });
    }
}
