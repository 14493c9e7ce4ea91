package io.microsnap.core.store;

import io.microsnap.core.DamagedException;
import io.microsnap.core.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** What a manifest says of a file's content, computed. */
final class Digests {
    private static final long BUFFER_BYTES = 1 << 20;

    private Digests() {
    }

    static SnapshotFile ofBytes(String name, Descriptor file) throws IOException {
        MessageDigest digest = sha256();
        long at = 0;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(BUFFER_BYTES);
            long read;
            do {
                read = file.read(buffer, at);
                digest.update(buffer.asSlice(0, read).asByteBuffer());
                at += read;
            } while (read == BUFFER_BYTES);
        }
        return SnapshotFile.withSha256(name, at, HexFormat.of().formatHex(digest.digest()));
    }

    static void require(SnapshotFile expected, Descriptor file) throws IOException {
        SnapshotFile found = ofBytes(expected.name(), file);
        if (!found.equals(expected)) {
            throw new DamagedException(file + " has " + found.lengthBytes() + " bytes and digest " + found.digest()
                    + ", but its manifest says " + expected.lengthBytes() + " and " + expected.digest());
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
