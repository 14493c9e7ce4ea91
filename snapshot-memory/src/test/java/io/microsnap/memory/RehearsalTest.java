package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What a process does before its first pause, and for which machines. */
@EnabledOnOs(value = OS.LINUX, disabledReason = "the rehearsal needs files in memory")
final class RehearsalTest {
    private static final String LOADED = Rehearsal.class.getName() + "$Once source:";
    private static final long LONG_ENOUGH_FOR_ONE_ROUND = 0;

    @TempDir
    private Path directory;

    @Test
    void leavesNothingOpenWhicheverCallFails() throws IOException {
        FaultyPosix whole = FaultyPosix.host();
        Rehearsal.rehearse(whole.posix(), LONG_ENOUGH_FOR_ONE_ROUND);
        assertThat(whole.calls("pwrite")).isPositive();
        requireNothingOpen(whole);
        for (String call : whole.callsByName().keySet()) {
            if (!call.equals("close") && !call.equals("munmap")) {
                FaultyPosix failing = FaultyPosix.host().at(call, 1).fails(Errno.EIO);
                Rehearsal.rehearse(failing.posix(), LONG_ENOUGH_FOR_ONE_ROUND);
                assertThat(failing.struck()).as(call).isTrue();
                requireNothingOpen(failing);
            }
        }
    }

    @Test
    void isBeforeTheFirstPauseOfAMachineThatRunsAndNotOfOneThatIsPausedAlready(ChildProcesses children) {
        assertThat(output(children, "running")).contains(LOADED, "captured");
        assertThat(output(children, "paused")).contains("captured").doesNotContain(LOADED);
    }

    private String output(ChildProcesses children, String machine) {
        ChildProcess.Exit exit = children.java(Map.of("JDK_JAVA_OPTIONS", "-Xlog:class+load:stdout"), Captures.class,
                directory.resolve(machine).toString(), machine).awaitExit();
        assertThat(exit.status()).as(exit.errors()).isZero();
        return exit.output();
    }

    private static void requireNothingOpen(FaultyPosix posix) {
        assertThat(posix.openDescriptors()).isEmpty();
        // Bitmaps keep their addresses until nothing can reach them; all that was mapped here is unmapped.
        assertThat(posix.mappedBytes()).isZero();
    }

    /** Captures one machine. */
    static final class Captures {
        public static void main(String[] arguments) throws IOException {
            InMemoryPageReader guest = InMemoryPageReader.of(GuestLayout.ofSingleRegion(4096, 1 << 20));
            PausableMachine machine = arguments[1].equals("paused") ? PausableMachine.pausedAlready(List.of())
                    : new Running();
            try (DirectoryStore store =
                    DirectoryStore.openOrCreate(Posix.host(), Path.of(arguments[0]), StoreOptions.PRIVATE)) {
                Capture.of(store, new SnapshotId("first"), guest).take(machine);
            }
            System.out.println("captured");
        }
    }

    private static final class Running implements PausableMachine {
        @Override
        public void pause() {
        }

        @Override
        public List<MachineStateSection> saveState() {
            return List.of();
        }

        @Override
        public void resume() {
        }
    }
}
