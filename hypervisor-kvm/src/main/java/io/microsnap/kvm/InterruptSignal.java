package io.microsnap.kvm;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SignalAction;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The signal that makes a vCPU leave the guest: a real-time signal whose handler is a libc function without visible
 * effects. A handler cannot run Java code.
 */
final class InterruptSignal {
    /** In the middle of the range, because glibc, languages and profilers use both ends. */
    private static final int FIRST = SignalAction.SIGRTMIN + 10;

    private final Posix posix;
    private final int number;
    private final int process;

    private InterruptSignal(Posix posix, int number) {
        this.posix = posix;
        this.number = number;
        process = (int) ProcessHandle.current().pid();
    }

    /** Returns the signal of this process: the one claimed before, or the first without a handler. */
    static synchronized InterruptSignal claim(Posix posix) throws IOException {
        long harmless = posix.dlsym("abs");
        try (Arena arena = Arena.ofConfined()) {
            SignalAction present = SignalAction.in(arena);
            for (int signal = FIRST; signal <= SignalAction.SIGRTMAX; signal++) {
                check(posix, posix.sigaction(signal, MemorySegment.NULL, present.segment()));
                if (present.handler() == harmless) {
                    return new InterruptSignal(posix, signal);
                }
                if (present.handler() == SignalAction.SIG_DFL) {
                    SignalAction action = SignalAction.in(arena).handler(harmless).flags(SignalAction.SA_ONSTACK);
                    check(posix, posix.sigaction(signal, action.segment(), MemorySegment.NULL));
                    return new InterruptSignal(posix, signal);
                }
            }
        }
        throw new SnapshotException("every real-time signal from " + FIRST + " to " + SignalAction.SIGRTMAX
                + " is handled by other code in this process; leave one free for interrupting vCPUs");
    }

    /** Sends it to a thread of this process. A thread that has ended is not an error. */
    void send(int thread) {
        posix.tgkill(process, thread, number);
    }

    private static void check(Posix posix, int result) throws IOException {
        if (result < 0) {
            throw SystemCallException.of(posix, result, "sigaction", "the signal that interrupts vCPUs", "");
        }
    }
}
