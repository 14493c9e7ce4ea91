package io.microsnap.store.internal;

import java.util.regex.Pattern;

/**
 * One file of a snapshot, as its manifest lists it.
 *
 * @param name one of {@link SnapshotFiles}' names, or {@code attachments/} and a name
 * @param lengthBytes its length
 * @param digest {@code root:} and the root of a page index or map, or {@code sha256:} and the SHA-256 of its bytes
 */
public record SnapshotFile(String name, long lengthBytes, String digest) {
    private static final String ROOT = "root:";
    private static final String SHA256 = "sha256:";
    private static final Pattern FORM = Pattern.compile(ROOT + "[0-9a-f]{8}|" + SHA256 + "[0-9a-f]{64}");

    public SnapshotFile {
        if (SnapshotFiles.isAttachment(name)) {
            SnapshotFiles.attachment(name.substring(SnapshotFiles.ATTACHMENT_PREFIX.length()));
        } else if (!SnapshotFiles.FIXED.contains(name)) {
            throw new IllegalArgumentException("'" + Printable.of(name) + "' is not a file of a snapshot");
        }
        if (lengthBytes < 0) {
            throw new IllegalArgumentException(name + " cannot have " + lengthBytes + " bytes");
        }
        boolean summarised = !SnapshotFiles.isAttachment(name) && !name.equals(SnapshotFiles.MACHINE);
        if (!FORM.matcher(digest).matches() || digest.startsWith(ROOT) != summarised) {
            throw new IllegalArgumentException("'" + Printable.of(digest) + "' is no digest of " + name
                    + ": it has the form " + (summarised ? "root: and 8" : "sha256: and 64")
                    + " lower-case hex digits");
        }
    }

    /** Describes a file whose digest is the root of a page index or map. */
    public static SnapshotFile withRoot(String name, long lengthBytes, int root) {
        return new SnapshotFile(name, lengthBytes, ROOT + String.format("%08x", root));
    }

    /** Describes a file whose digest is the SHA-256 of its bytes. */
    public static SnapshotFile withSha256(String name, long lengthBytes, String hex) {
        return new SnapshotFile(name, lengthBytes, SHA256 + hex);
    }

    /** Returns whether the digest is of its bytes. */
    public boolean hasSha256() {
        return digest.startsWith(SHA256);
    }

    /** Returns the root in the digest, of a file that has one. */
    public int root() {
        return Integer.parseUnsignedInt(digest.substring(ROOT.length()), 16);
    }
}
