package io.microsnap.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SignalAction;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

@KvmTest
class InterruptSignalTest {
    private static final Posix POSIX = Posix.host();
    private static final int FIRST = SignalAction.SIGRTMIN + 10;

    @Test
    void aSignalThatSomebodyElseHandlesIsLeftToThemAndTheNextIsTaken() throws IOException {
        long ours = POSIX.dlsym("abs");
        // As harmless, for a thread that is interrupted meanwhile.
        long theirs = POSIX.dlsym("labs");
        InterruptSignal.claim(POSIX);
        assertThat(handler(FIRST)).isEqualTo(ours);
        try {
            handle(FIRST, theirs);
            InterruptSignal.claim(POSIX);
            assertThat(handler(FIRST)).isEqualTo(theirs);
            assertThat(handler(FIRST + 1)).isEqualTo(ours);
        } finally {
            handle(FIRST, ours);
        }
        InterruptSignal.claim(POSIX);
        assertThat(handler(FIRST + 2)).as("nobody needed a third").isEqualTo(SignalAction.SIG_DFL);
    }

    private static long handler(int signal) {
        try (Arena arena = Arena.ofConfined()) {
            SignalAction action = SignalAction.in(arena);
            assertThat(POSIX.sigaction(signal, MemorySegment.NULL, action.segment())).isZero();
            return action.handler();
        }
    }

    private static void handle(int signal, long function) {
        try (Arena arena = Arena.ofConfined()) {
            SignalAction action = SignalAction.in(arena).handler(function).flags(SignalAction.SA_ONSTACK);
            assertThat(POSIX.sigaction(signal, action.segment(), MemorySegment.NULL)).isZero();
        }
    }
}
