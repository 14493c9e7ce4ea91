package io.microsnap.registry.internal.format;

/**
 * A blob of frames.
 *
 * @param digest of its bytes
 * @param lengthBytes how long it is
 */
public record Pack(Digest digest, long lengthBytes) {
    /** Of images up to {@link #SMALL_IMAGE_BYTES}. */
    private static final int SMALL_BYTES = 32 << 20;
    private static final int LARGE_BYTES = 48 << 20;
    /** The longest pack that is read. */
    public static final int LARGEST_BYTES = 64 << 20;
    private static final long SMALL_IMAGE_BYTES = 32L << 30;

    public Pack {
        if (lengthBytes <= 0 || lengthBytes > LARGEST_BYTES) {
            throw new IllegalArgumentException("a pack of " + lengthBytes + " bytes; it has 1 to " + LARGEST_BYTES);
        }
    }

    /** Returns the greatest length of an image's packs. */
    public static int largestBytes(long imageBytes) {
        return imageBytes <= SMALL_IMAGE_BYTES ? SMALL_BYTES : LARGE_BYTES;
    }

    /** Returns the artifact's entry for it. */
    public Blob blob() {
        return Blob.of(MediaTypes.PACK, digest, lengthBytes);
    }
}
