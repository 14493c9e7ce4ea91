package io.microsnap.registry.internal.format;

/** The media types of an artifact and its blobs. */
public final class MediaTypes {
    /** Of an OCI image manifest, which an artifact is. */
    public static final String MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    /** Tells our artifacts from others. */
    public static final String ARTIFACT = "application/vnd.microsnap.snapshot.v1";
    /** Of a {@code snapshot.json}. */
    public static final String SNAPSHOT = "application/vnd.microsnap.manifest.v1+json";
    /** Of a frame table. */
    public static final String FRAMES = "application/vnd.microsnap.frames.v1";
    /** Of a snapshot's file as it is. */
    public static final String FILE = "application/vnd.microsnap.file.v1";
    /** Of a pack. */
    public static final String PACK = "application/vnd.microsnap.pack.v1";

    private MediaTypes() {
    }
}
