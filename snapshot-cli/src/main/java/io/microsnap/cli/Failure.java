package io.microsnap.cli;

import io.microsnap.core.CancelledException;
import io.microsnap.core.DamagedException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;

/**
 * Why a command failed, for the user.
 *
 * @param status the exit status
 * @param message one line: what, where, why, what to do
 * @param cause the cause, for the stack trace
 */
record Failure(int status, String message, Throwable cause) {
    static Failure of(Throwable cause) {
        int status = switch (cause) {
            case CancelledException cancelled -> ExitStatus.INTERRUPTED;
            case DamagedException damaged -> ExitStatus.DAMAGED;
            case IllegalArgumentException mistaken -> ExitStatus.USAGE;
            default -> ExitStatus.FAILED;
        };
        return new Failure(status, oneLine(describe(cause)), cause);
    }

    /** Returns the failure as a JSON document. */
    Document document() {
        return new Document().put("ok", false).put("status", status).put("error", message);
    }

    private static String describe(Throwable cause) {
        if (cause instanceof FileSystemException failure && failure.getFile() != null) {
            String plain = switch (failure) {
                case NoSuchFileException missing -> "it does not exist";
                case AccessDeniedException denied -> "permission denied; check its owner and modes";
                case FileAlreadyExistsException taken -> "it exists already";
                case NotDirectoryException file -> "it is not a directory";
                case DirectoryNotEmptyException full -> "the directory is not empty";
                default -> failure.getClass().getSimpleName();
            };
            String reason = failure.getReason();
            if (reason == null) {
                return failure.getFile() + ": " + plain;
            }
            // A bare system call says little to a person; this library's own messages are complete.
            boolean bare = reason.contains(" failed with E");
            return failure.getFile() + ": " + (bare ? plain + " (" + reason + ")" : reason);
        }
        String message = cause.getMessage();
        if (cause instanceof OutOfMemoryError) {
            return "out of memory (" + message + "); give the JVM more, such as"
                    + " JDK_JAVA_OPTIONS=-Xmx1g, or the machine";
        }
        if (cause instanceof Error) {
            return cause + "; --verbose shows where";
        }
        return message == null || message.isBlank() ? cause.toString() : message;
    }

    static String oneLine(String message) {
        return message.strip().replaceAll("\\s*\\R\\s*", "; ");
    }
}
