package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Errno;

/** What came of an attempt to share blocks. Whatever is not one of these was an exception. */
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

    /** The source is gone. It says nothing about other files on the same filesystem. */
    record SourceVanished() implements ReflinkOutcome {
    }

    /** Whether blocks are shared now. */
    default boolean isCloned() {
        return this instanceof Cloned;
    }
}
