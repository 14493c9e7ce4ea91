package io.microsnap.registry.internal.format;

import java.util.Objects;
import java.util.Optional;
import java.util.UUID;

/**
 * An artifact's entry for one of its blobs.
 *
 * @param mediaType its media type
 * @param digest of its bytes
 * @param lengthBytes how long it is
 * @param owner the snapshot it belongs to, and which of its files it is; empty for packs and the config
 */
public record Blob(String mediaType, Digest digest, long lengthBytes, Optional<Owner> owner) {
    /**
     * The snapshot and file that a blob holds.
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

    /** Makes an entry for a blob that belongs to no single snapshot. */
    public static Blob of(String mediaType, Digest digest, long lengthBytes) {
        return new Blob(mediaType, digest, lengthBytes, Optional.empty());
    }

    /** Makes an entry for a snapshot's file. */
    public static Blob ofFile(String mediaType, Digest digest, long lengthBytes, Owner owner) {
        return new Blob(mediaType, digest, lengthBytes, Optional.of(owner));
    }
}
