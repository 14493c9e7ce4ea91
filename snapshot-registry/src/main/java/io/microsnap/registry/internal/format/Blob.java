package io.microsnap.registry.internal.format;

import java.util.Objects;
import java.util.Optional;
import java.util.UUID;

/**
 * What an artifact says of one of its blobs.
 *
 * @param mediaType what it is
 * @param digest of its bytes
 * @param lengthBytes how long it is
 * @param owner the snapshot it belongs to, and which of its files it is; empty for packs and the config
 */
public record Blob(String mediaType, Digest digest, long lengthBytes, Optional<Owner> owner) {
    /**
     * Whose file a blob is.
     *
     * @param snapshot the snapshot's uuid
     * @param file the name in its manifest, {@link #MANIFEST} or {@link #FRAMES}
     */
    public record Owner(UUID snapshot, String file) {
        /** The file that is a snapshot's manifest. */
        public static final String MANIFEST = "snapshot.json";
        /** The file that is a snapshot's frame table. */
        public static final String FRAMES = "frames";

        public Owner {
            Objects.requireNonNull(snapshot);
            Objects.requireNonNull(file);
        }
    }

    public Blob {
        Objects.requireNonNull(mediaType);
        Objects.requireNonNull(digest);
        Objects.requireNonNull(owner);
        if (lengthBytes < 0) {
            throw new IllegalArgumentException(digest + " cannot have " + lengthBytes + " bytes");
        }
    }

    /** Makes one that belongs to no snapshot alone. */
    public static Blob of(String mediaType, Digest digest, long lengthBytes) {
        return new Blob(mediaType, digest, lengthBytes, Optional.empty());
    }

    /** Makes one that is a snapshot's file. */
    public static Blob ofFile(String mediaType, Digest digest, long lengthBytes, Owner owner) {
        return new Blob(mediaType, digest, lengthBytes, Optional.of(owner));
    }
}
