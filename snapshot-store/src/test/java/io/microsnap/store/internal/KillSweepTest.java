package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.store.StoreOptions;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;

/** A process that is killed, or a call that fails, at any position leaves the old state or the new one. */
class KillSweepTest {
    private static final Set<String> NEVER_INTERRUPTED = Set.of("mmap", "munmap");
    private static final Set<String> TRANSFERS = Set.of("pread", "pwrite", "copy_file_range");

    private final Posix posix = Posix.host();

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS, FileSystemKind.BTRFS})
    void aProcessDeadAtAnyCallLeavesOldOrNew(Path directory, FileSystemKind kind, Seed seed)
            throws IOException {
        for (StoreChange change : StoreChange.values()) {
            Path path = directory.resolve(change.name());
            int calls = count(path, change);
            boolean oldSeen = false;
            boolean newSeen = false;
            for (int position : positions(calls, kind, seed)) {
                prepare(path, change);
                FaultyPosix dying = FaultyPosix.host().deadFrom(position);
                try {
                    run(dying.posix(), path, change);
                } catch (FaultyPosix.Dead expected) {
                    assertThat(expected).hasMessageContaining("dead from");
                }
                dying.bury();
                Set<String> found = recovered(path, change + " dead from call " + position + " of " + calls);
                assertThat(List.of(change.before(), change.after())).as("%s dead from call %d of %d", change, position,
                        calls).contains(found);
                oldSeen |= found.equals(change.before());
                newSeen |= found.equals(change.after());
            }
            assertThat(oldSeen && newSeen).as("%s: both states were seen", change).isTrue();
        }
    }

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS, FileSystemKind.BTRFS})
    void aRealKillAtSampledCallsLeavesOldOrNew(Path directory, ChildProcesses children, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        for (StoreChange change : EnumSet.complementOf(EnumSet.of(StoreChange.EXCHANGE_IMAGE))) {
            Path path = directory.resolve(change.name());
            int calls = count(path, change);
            for (int sample = 0; sample < Effort.choose(1, 1, 30); sample++) {
                prepare(path, change);
                int position = random.nextInt(1, calls + 1);
                ChildProcess.Exit exit = children.java(Victim.class, path.toString(), change.name(),
                        Integer.toString(position)).awaitExit();
                assertThat(exit.wasKilled()).as(exit.toString()).isTrue();
                assertThat(List.of(change.before(), change.after())).as("%s killed at call %d", change, position)
                        .contains(recovered(path, change + " killed at call " + position));
            }
        }
    }

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS, FileSystemKind.BTRFS})
    void aCallThatFailsLeavesTheOldStateAndNothingOpen(Path directory, FileSystemKind kind, Seed seed)
            throws IOException {
        for (StoreChange change : StoreChange.values()) {
            Path path = directory.resolve(change.name());
            int calls = count(path, change);
            int failures = 0;
            for (int position : positions(calls, kind, seed)) {
                prepare(path, change);
                FaultyPosix failing = FaultyPosix.host().at(position).fails(Errno.EIO);
                String where = change + " with EIO at call " + position + " of " + calls;
                boolean failed = false;
                try {
                    run(failing.posix(), path, change);
                } catch (IOException expected) {
                    failed = true;
                    failures++;
                    assertThat(expected).as(where).hasMessageMatching("(?s).*(EIO|" + path + ").*");
                }
                assertThat(failing.openDescriptors()).as(where + " leaks descriptors").isEmpty();
                assertThat(failing.mappedBytes()).as(where + " leaks memory").isZero();
                Set<String> found = recovered(path, where);
                if (failed && change != StoreChange.HINT) {
                    assertThat(found).as(where + " threw").isEqualTo(change.before());
                } else if (failed) {
                    assertThat(List.of(change.before(), change.after())).as(where).contains(found);
                } else {
                    assertThat(found).as(where + " returned").isEqualTo(change.after());
                }
            }
            assertThat(failures).as("%s: failures were seen", change).isPositive();
        }
    }

    @RealFileSystems(FileSystemKind.EXT4)
    void interruptedAndShortCallsAreFinished(Path directory) throws IOException {
        for (StoreChange change : StoreChange.values()) {
            Path path = directory.resolve(change.name());
            prepare(path, change);
            List<String> names = new ArrayList<>();
            run(FaultyPosix.host().before(call -> names.add(call.name())).posix(), path, change);
            for (int position = 1; position <= names.size(); position += Effort.choose(9, 5, 1)) {
                prepare(path, change);
                String name = names.get(position - 1);
                FaultyPosix.Fault fault = FaultyPosix.host().at(position);
                boolean interrupted = !TRANSFERS.contains(name);
                if (!NEVER_INTERRUPTED.contains(name)) {
                    run((interrupted ? fault.isInterrupted() : fault.fallsShort()).posix(), path, change);
                    assertThat(recovered(path, change.name())).as("%s, call %d, %s, %s", change, position, name,
                            interrupted ? "interrupted" : "short").isEqualTo(change.after());
                }
            }
        }
    }

    /** The process that is killed. */
    static final class Victim {
        private Victim() {
        }

        public static void main(String[] arguments) throws IOException {
            FaultyPosix calls = FaultyPosix.host().at(Integer.parseInt(arguments[2])).killsTheProcess();
            run(calls.posix(), Path.of(arguments[0]), StoreChange.valueOf(arguments[1]));
        }
    }

    /**
     * Of the calls, some each time: more on one filesystem than on the others, which differ in few of them. The first
     * and the last are always among them: only they are sure to show the old state and the new one.
     */
    private static Set<Integer> positions(int calls, FileSystemKind kind, Seed seed) {
        int step = Effort.choose(9, kind == FileSystemKind.EXT4 ? 4 : 9, 1);
        Set<Integer> positions = new TreeSet<>(Set.of(1, calls));
        for (int position = seed.random().nextInt(1, step + 1); position <= calls; position += step) {
            positions.add(position);
        }
        return positions;
    }

    private int count(Path path, StoreChange change) throws IOException {
        prepare(path, change);
        FaultyPosix counting = FaultyPosix.host();
        run(counting.posix(), path, change);
        assertThat(counting.openDescriptors()).as("%s leaks", change).isEmpty();
        return counting.calls();
    }

    private static void run(Posix calls, Path path, StoreChange change) throws IOException {
        try (DirectoryStore store = DirectoryStore.open(calls, path, StoreOptions.PRIVATE)) {
            change.make(store);
        }
    }

    private void prepare(Path path, StoreChange change) throws IOException {
        try (DirectoryStore store = DirectoryStore.openOrCreate(posix, path, StoreOptions.PRIVATE)) {
            change.prepare(store);
        }
    }

    private Set<String> recovered(Path path, String what) throws IOException {
        try (DirectoryStore store = DirectoryStore.open(posix, path, StoreOptions.PRIVATE)) {
            Set<String> contents = StoreChange.contents(store);
            assertThat(path.resolve(".staging").toFile().list()).as(what + ": nothing staged is left").isEmpty();
            return contents;
        }
    }
}
