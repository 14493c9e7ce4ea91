package io.microsnap.store.internal;

import java.util.Locale;

/** Which pages an image holds. */
public enum SnapshotKind {
    /** Every page; blocks may be shared with a base, which may be gone. */
    FULL,
    /** The pages its page map names; the others are its base's, which is required. */
    DIFF;

    /** Returns the name in the manifest. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
