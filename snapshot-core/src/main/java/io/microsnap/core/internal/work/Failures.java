package io.microsnap.core.internal.work;

import java.io.IOException;

/** Passes on what another thread threw. */
public final class Failures {
    private Failures() {
    }

    /** Throws the failure as it is, unless it is null; a checked one that is no IOException is wrapped in one. */
    public static void rethrow(Throwable failure) throws IOException {
        switch (failure) {
            case null -> { }
            case IOException thrown -> throw thrown;
            case RuntimeException thrown -> throw thrown;
            case Error thrown -> throw thrown;
            case Throwable thrown -> throw new IOException(thrown);
        }
    }
}
