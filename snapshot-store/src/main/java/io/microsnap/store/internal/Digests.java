package io.microsnap.store.internal;

import io.microsnap.core.DamagedException;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** Computes the digests of files for the manifest. */
final class Digests {
    private static final long BUFFER_BYTES = 1 << 20;

    private Digests() {
    }

    static SnapshotFile ofBytes(String name, Descriptor file) throws IOException {
        MessageDigest digest = sha256();
        long sizeBytes = file.sizeBytes();
        try (Arena arena = Arena.ofConfined()) {
            // Most files are small, and every byte of the buffer is zeroed first.
            MemorySegment buffer = arena.allocate(Math.min(BUFFER_BYTES, sizeBytes));
            for (long at = 0; at < sizeBytes;) {
                // A short read means that the file was truncated meanwhile.
                MemorySegment piece = buffer.asSlice(0, Math.min(BUFFER_BYTES, sizeBytes - at));
                file.readFully(piece, at);
                digest.update(piece.asByteBuffer());
                at += piece.byteSize();
            }
        }
        return SnapshotFile.withSha256(name, sizeBytes, HexFormat.of().formatHex(digest.digest()));
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
