package io.microsnap.cli;

/** How a command ends, for scripts. */
final class ExitStatus {
    static final int OK = 0;
    /** It could not be done; an unknown store or snapshot, too. */
    static final int FAILED = 1;
    /** The command line makes no sense. */
    static final int USAGE = 2;
    /** Something read from disk is not what was written there. */
    static final int DAMAGED = 3;
    static final int INTERRUPTED = 130;

    private ExitStatus() {
    }
}
