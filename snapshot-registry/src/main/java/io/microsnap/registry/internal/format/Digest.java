package io.microsnap.registry.internal.format;

import io.microsnap.store.internal.Printable;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.regex.Pattern;

/** Names a blob by the SHA-256 of its bytes. */
public record Digest(String hex) {
    /** How many bytes a SHA-256 has. */
    public static final int BYTES = 32;

    private static final String ALGORITHM = "sha256:";
    private static final Pattern FORM = Pattern.compile("[0-9a-f]{64}");

    /** Refuses anything but 64 lower-case hex digits with {@link IllegalArgumentException}. */
    public Digest {
        if (!FORM.matcher(hex).matches()) {
            throw new IllegalArgumentException("'" + Printable.of(hex)
                    + "' is not a digest: give sha256: and 64 lower-case hex digits");
        }
    }

    /** Reads {@code sha256:} and 64 hex digits; no other algorithm is known. */
    public static Digest parse(String text) {
        if (!text.startsWith(ALGORITHM)) {
            throw new IllegalArgumentException("'" + Printable.of(text)
                    + "' is not a digest: give sha256: and 64 lower-case hex digits");
        }
        return new Digest(text.substring(ALGORITHM.length()));
    }

    /** Makes a digest of 32 bytes. */
    public static Digest ofBytes(byte[] sha256) {
        return new Digest(HexFormat.of().formatHex(sha256));
    }

    /** Computes the digest of a document. */
    public static Digest of(byte[] content) {
        return ofBytes(sha256().digest(content));
    }

    /** Computes the digest of memory, up to 2 GiB. */
    public static Digest of(MemorySegment content) {
        MessageDigest sha256 = sha256();
        sha256.update(content.asByteBuffer());
        return ofBytes(sha256.digest());
    }

    /** Begins to compute a SHA-256. */
    public static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Returns the 32 bytes. */
    public byte[] bytes() {
        return HexFormat.of().parseHex(hex);
    }

    @Override
    public String toString() {
        return ALGORITHM + hex;
    }
}
