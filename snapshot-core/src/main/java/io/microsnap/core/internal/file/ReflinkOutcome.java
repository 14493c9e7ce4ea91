package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Errno;

/** The outcome of an attempt to share blocks. Every other outcome is an exception. */
public sealed interface ReflinkOutcome {
    /** The files share their blocks until one of them is written. */
    record Cloned() implements ReflinkOutcome {
    }

    /**
     * These two places cannot share blocks; copy instead.
     *
     * @param errno the system's answer, now or when it was first asked
     * @param reason what it means, for a person
     */
    record Unsupported(Errno errno, String reason) implements ReflinkOutcome {
    }

    /** The source is gone. This says nothing about other files on the same filesystem. */
    record SourceVanished() implements ReflinkOutcome {
    }

    /** Returns whether blocks are shared now. */
    default boolean isCloned() {
        return this instanceof Cloned;
    }
}
