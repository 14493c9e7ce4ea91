package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Errno;

/** The kernel's answer to a request to share a range of two files. */
public sealed interface DedupeOutcome {
    /** Returns how many bytes, from the start of the range, are shared now. */
    long sharedBytes();

    /** The whole range is shared. */
    record Shared(long sharedBytes) implements DedupeOutcome {
    }

    /** The bytes differ somewhere after the part that is shared; nothing else was changed. */
    record Different(long sharedBytes) implements DedupeOutcome {
    }

    /**
     * These two places cannot share blocks.
     *
     * @param sharedBytes the bytes shared before the system refused
     * @param errno the system's answer
     * @param reason what it means, for a person
     */
    record Unsupported(long sharedBytes, Errno errno, String reason) implements DedupeOutcome {
    }
}
