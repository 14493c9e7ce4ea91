package io.microsnap.registry.internal.push;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.registry.internal.client.Body;
import io.microsnap.registry.internal.format.Digest;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.security.MessageDigest;

/** Files as bodies of requests. */
final class FileBodies {
    private static final int BUFFER_BYTES = 256 << 10;

    private FileBodies() {
    }

    /** Sends a file, which stays open until the request has ended. */
    static Body of(Descriptor file, long lengthBytes) {
        return new Body(lengthBytes, () -> stream(file, lengthBytes));
    }

    /** Computes the SHA-256 of a file. */
    static Digest digest(Descriptor file, long lengthBytes) throws IOException {
        MessageDigest sha256 = Digest.sha256();
        byte[] part = new byte[BUFFER_BYTES];
        try (InputStream bytes = stream(file, lengthBytes)) {
            for (int read = bytes.read(part); read > 0; read = bytes.read(part)) {
                sha256.update(part, 0, read);
            }
        }
        return Digest.ofBytes(sha256.digest());
    }

    private static InputStream stream(Descriptor file, long lengthBytes) {
        return new InputStream() {
            // Freed with the stream: when a request breaks, the client drops its stream without closing it.
            private final MemorySegment buffer = Arena.ofAuto().allocate(BUFFER_BYTES);
            private long at;

            @Override
            public int read() throws IOException {
                byte[] one = new byte[1];
                return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
            }

            @Override
            public int read(byte[] target, int from, int count) throws IOException {
                int length = (int) Math.min(Math.min(count, BUFFER_BYTES), lengthBytes - at);
                if (length <= 0) {
                    return count == 0 ? 0 : -1;
                }
                file.readFully(buffer.asSlice(0, length), at);
                MemorySegment.copy(buffer, ValueLayout.JAVA_BYTE, 0, target, from, length);
                at += length;
                return length;
            }
        };
    }
}
