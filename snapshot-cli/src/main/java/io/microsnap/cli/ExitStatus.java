package io.microsnap.cli;

/** The exit statuses of commands, for scripts. */
final class ExitStatus {
    static final int OK = 0;
    /** The command failed; also for an unknown store or snapshot. */
    static final int FAILED = 1;
    /** The command line is invalid. */
    static final int USAGE = 2;
    /** Something read from disk is damaged. */
    static final int DAMAGED = 3;
    static final int INTERRUPTED = 130;

    private ExitStatus() {
    }
}
