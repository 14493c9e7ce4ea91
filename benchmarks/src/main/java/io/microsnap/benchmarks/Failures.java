package io.microsnap.benchmarks;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;

/** Puts into words what the JDK reports by a class and a path. */
final class Failures {
    private Failures() {
    }

    static String text(IOException failure) {
        return switch (failure) {
            case NoSuchFileException missing -> missing.getMessage() + " does not exist";
            case AccessDeniedException denied -> denied.getMessage() + " may not be read";
            default -> failure.getMessage();
        };
    }
}
