package io.microsnap.registry.internal.format;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A file without a name in the system's temporary directory, for data that is too long for memory. It disappears when
 * it is closed or its process ends.
 */
public final class SpoolFile implements AutoCloseable {
    private final FileChannel channel;

    private SpoolFile(FileChannel channel) {
        this.channel = channel;
    }

    /** Makes an empty file. */
    public static SpoolFile create() throws IOException {
        Path path = Files.createTempFile("microsnap-", ".spool");
        try {
            return new SpoolFile(FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE));
        } finally {
            Files.delete(path);
        }
    }

    /** Writes all of the buffer at the offset. */
    public void write(ByteBuffer bytes, long offset) throws IOException {
        long at = offset;
        while (bytes.hasRemaining()) {
            at += channel.write(bytes, at);
        }
    }

    /** Returns its length. */
    public long lengthBytes() throws IOException {
        return channel.size();
    }

    /** Maps a part of it for reading, for as long as the arena lives. */
    public MemorySegment map(long offset, long lengthBytes, Arena arena) throws IOException {
        return lengthBytes == 0 ? MemorySegment.NULL
                : channel.map(FileChannel.MapMode.READ_ONLY, offset, lengthBytes, arena);
    }

    /** Reads a part of it as a stream, which need not be closed. */
    public InputStream stream(long offset, long lengthBytes) {
        return new InputStream() {
            private long at = offset;
            private final long end = offset + lengthBytes;

            @Override
            public int read() throws IOException {
                byte[] one = new byte[1];
                return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
            }

            @Override
            public int read(byte[] target, int from, int count) throws IOException {
                if (at >= end) {
                    return -1;
                }
                int read = channel.read(ByteBuffer.wrap(target, from, (int) Math.min(count, end - at)), at);
                at += Math.max(0, read);
                return read;
            }
        };
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
