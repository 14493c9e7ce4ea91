package io.microsnap.registry.internal.remote;

import io.microsnap.core.DamagedException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.format.Blob;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.registry.internal.format.SpoolFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;

/** Fetches blobs of any length in pieces, which limits memory and the amount to retry. */
public final class Downloads {
    private static final long PIECE_BYTES = 4 << 20;

    private Downloads() {
    }

    /** Takes pieces of a blob in order. */
    @FunctionalInterface
    public interface Pieces {
        /** Takes a piece, whose memory is reused afterwards. */
        void accept(MemorySegment piece, long offset) throws IOException;
    }

    /** Fetches a blob into an empty file and checks its digest. */
    public static void toFile(RegistryClient client, Blob blob, Descriptor file, Pieces progress) throws IOException {
        fetch(client, blob, (piece, offset) -> {
            file.writeFully(piece, offset);
            progress.accept(piece, offset);
        });
    }

    /** Fetches a blob into a spool file and checks its digest. */
    public static SpoolFile spooled(RegistryClient client, Blob blob) throws IOException {
        SpoolFile spool = SpoolFile.create();
        try {
            fetch(client, blob, (piece, offset) -> spool.write(piece.asByteBuffer(), offset));
            return spool;
        } catch (Throwable failure) {
            try (spool) {
                throw failure;
            }
        }
    }

    private static void fetch(RegistryClient client, Blob blob, Pieces pieces) throws IOException {
        MessageDigest sha256 = Digest.sha256();
        try (Arena arena = Arena.ofShared()) {
            MemorySegment buffer = arena.allocate(Math.clamp(blob.lengthBytes(), 1, PIECE_BYTES));
            for (long at = 0; at < blob.lengthBytes();) {
                MemorySegment piece = buffer.asSlice(0, Math.min(PIECE_BYTES, blob.lengthBytes() - at));
                client.fetch(blob, at, piece);
                sha256.update(piece.asByteBuffer());
                pieces.accept(piece, at);
                at += piece.byteSize();
            }
        }
        if (!Digest.ofBytes(sha256.digest()).equals(blob.digest())) {
            throw new DamagedException(client + " serves other bytes than those of blob " + blob.digest()
                    + "; retry, and do not trust that registry if this happens again");
        }
    }
}
