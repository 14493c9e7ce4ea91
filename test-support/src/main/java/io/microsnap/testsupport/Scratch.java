package io.microsnap.testsupport;

import java.nio.file.Path;

/** What came of asking for a real file system or block device. */
public sealed interface Scratch {

    /** It is there. */
    record Ready(Path path) implements Scratch {
    }

    /** This machine, or this user, cannot have it; {@code remedy} is the command that changes that. */
    record Unavailable(String reason, String remedy) implements Scratch {

        @Override
        public String toString() {
            return reason + "; to enable: " + remedy;
        }
    }

    /** The path; or an error that says why there is none, for callers who cannot do without. */
    default Path orElseThrow() {
        return switch (this) {
            case Ready ready -> ready.path();
            case Unavailable unavailable -> throw new IllegalStateException(unavailable.toString());
        };
    }
}
