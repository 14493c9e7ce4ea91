package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.store.Manifest;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.stream.Stream;

/** A snapshot of a chain becomes complete, and is the same snapshot at every moment of that. */
final class CompactTest {
    private static final SnapshotId BASE = new SnapshotId("vm-0");
    private static final SnapshotId MIDDLE = new SnapshotId("vm-1");
    private static final SnapshotId LAST = new SnapshotId("vm-2");
    private static final int LANES = 2;

    @RealFileSystems
    void aCompleteSnapshotNeedsNoBaseAndIsStillTheBaseOfOthers(Path directory, Seed seed) throws IOException {
        Chains chains = new Chains(seed.random());
        try (DirectoryStore store = chain(directory.resolve("store"), chains)) {
            Manifest before = store.inspect(MIDDLE);
            assertThat(Export.compact(store, MIDDLE, LANES, Progress.NONE)).isTrue();
            Manifest after = store.inspect(MIDDLE);
            assertThat(after.isDiff()).isFalse();
            assertThat(after.base()).isEmpty();
            assertThat(after.reference()).isEqualTo(before.reference());
            assertThat(after.created()).isEqualTo(before.created());
            assertThat(after.parent()).isEqualTo(before.parent());
            assertThat(after.labels()).isEqualTo(before.labels());
            assertThat(directory.resolve("store/.staging")).isEmptyDirectory();
            store.delete(BASE);
            chains.requireExact(store, "without the base");
            assertThat(Export.compact(store, MIDDLE, LANES, Progress.NONE)).as("nothing to do").isFalse();
        }
    }

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS})
    void thoseWhoUseItKeepWhatTheyHave(Path directory, Seed seed) throws IOException {
        Chains chains = new Chains(seed.random());
        Path path = directory.resolve("store");
        try (DirectoryStore store = chain(path, chains)) {
            try (StoredSnapshot held = store.hold(LAST);
                    RestoredSnapshot running = Restore.of(store, MIDDLE).restore(RestoreEngine.LAZY)) {
                assertThat(Export.compact(store, MIDDLE, LANES, Progress.NONE)).isTrue();
                assertThat(Export.compact(store, LAST, LANES, Progress.NONE)).isTrue();
                // Opened only now: index and map of the former image are still there.
                assertThat(Verification.of(held, 1, Progress.NONE).isWhole()).isTrue();
                assertThat(held.manifest().isDiff()).isTrue();
                assertThat(running.memory().mapping(0).mismatch(
                        MemorySegment.ofArray(chains.contents().get(MIDDLE)))).isEqualTo(-1);
                assertThatThrownBy(() -> store.delete(BASE)).isInstanceOf(IOException.class);
                chains.requireExact(store, "while it is used");
                assertThat(staged(path)).as("the former images").isEqualTo(2);
            }
            store.gc();
            assertThat(staged(path)).as("when nobody uses them").isZero();
            store.delete(BASE);
            chains.requireExact(store, "at the end");
        }
    }

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS})
    void aDamagedChainStaysAsItIs(Path directory, Seed seed) throws IOException {
        Chains chains = new Chains(seed.random());
        try (DirectoryStore store = chain(directory.resolve("store"), chains)) {
            Path image = directory.resolve("store/vm-0/" + SnapshotFiles.MEMORY);
            assertThat(image.toFile().setWritable(true)).isTrue();
            long page = unchangedPage(store);
            try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
                file.seek(page * Chains.PAGE + 5);
                file.write(new byte[] {'b', 'a', 'd'});
            }
            Manifest before = store.inspect(LAST);
            assertThatThrownBy(() -> Export.compact(store, LAST, LANES, Progress.NONE))
                    .isInstanceOf(DamagedException.class).hasMessageContaining("vm-0 holds");
            assertThat(store.inspect(LAST)).isEqualTo(before);
            assertThat(directory.resolve("store/.staging")).isEmptyDirectory();
        }
    }

    @RealFileSystems(FileSystemKind.EXT4)
    void oneThatIsDeletedMeanwhileStaysDeleted(Path directory, Seed seed) throws IOException {
        Chains chains = new Chains(seed.random());
        try (DirectoryStore store = chain(directory.resolve("store"), chains)) {
            boolean[] once = {false};
            assertThatThrownBy(() -> Export.compact(store, LAST, 1, (done, total) -> {
                if (!once[0]) {
                    once[0] = true;
                    try {
                        store.deleteForcibly(LAST);
                    } catch (IOException failure) {
                        throw new UncheckedIOException(failure);
                    }
                }
            })).isInstanceOf(NoSuchFileException.class).hasMessageContaining("deleted or replaced");
            assertThat(store.list()).hasSize(2);
            assertThat(directory.resolve("store/.staging")).isEmptyDirectory();
        }
    }

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS})
    void whateverCallFailsTheSnapshotIsTheSameAndNothingIsLeft(Path directory, FileSystemKind kind, Seed seed)
            throws IOException {
        Chains chains = new Chains(seed.random());
        Path original = directory.resolve("original");
        chain(original, chains).close();
        int calls = callsOfACompact(original, directory.resolve("counted"));
        int step = step(kind);
        int failures = 0;
        for (int position = seed.random().nextInt(1, step + 1); position <= calls; position += step) {
            Path path = directory.resolve("failing");
            Chains.copyStore(original, path);
            Errno errno = position % 2 == 0 ? Errno.EIO : Errno.ENOSPC;
            FaultyPosix failing = FaultyPosix.host().at(position).fails(errno);
            String what = errno + " at call " + position + " of " + calls;
            boolean failed = false;
            try {
                compact(failing.posix(), path);
            } catch (IOException expected) {
                failed = true;
                failures++;
            }
            assertThat(failing.openDescriptors()).as(what + " leaks descriptors").isEmpty();
            assertThat(failing.mappedBytes()).as(what + " leaks memory").isZero();
            try (DirectoryStore store = open(path)) {
                assertThat(store.inspect(LAST).isDiff()).as(what).isEqualTo(failed);
                assertThat(path.resolve(".staging")).as(what).isEmptyDirectory();
                chains.requireExact(store, what);
            }
            Chains.remove(path);
        }
        assertThat(failures).as("failures were seen").isPositive();
    }

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS})
    void aProcessDeadAtAnyCallLeavesADiffOrACompleteSnapshot(Path directory, FileSystemKind kind, Seed seed)
            throws IOException {
        Chains chains = new Chains(seed.random());
        Path original = directory.resolve("original");
        chain(original, chains).close();
        int calls = callsOfACompact(original, directory.resolve("counted"));
        int step = step(kind);
        boolean diffSeen = false;
        boolean fullSeen = false;
        for (int position = calls; position > 0; position -= step) {
            Path path = directory.resolve("dying");
            Chains.copyStore(original, path);
            FaultyPosix dying = FaultyPosix.host().deadFrom(position);
            try {
                compact(dying.posix(), path);
            } catch (FaultyPosix.Dead expected) {
                assertThat(expected).hasMessageContaining("dead from");
            }
            dying.bury();
            boolean diff = requireSame(path, chains, "dead from call " + position + " of " + calls);
            diffSeen |= diff;
            fullSeen |= !diff;
            Chains.remove(path);
        }
        assertThat(diffSeen && fullSeen).as("both were seen").isTrue();
    }

    @RealFileSystems({FileSystemKind.XFS})
    void aRealKillLeavesADiffOrACompleteSnapshot(Path directory, ChildProcesses children, Seed seed)
            throws IOException {
        Chains chains = new Chains(seed.random());
        Path original = directory.resolve("original");
        chain(original, chains).close();
        int calls = callsOfACompact(original, directory.resolve("counted"));
        for (int sample = 0; sample < Effort.choose(1, 2, 40); sample++) {
            Path path = directory.resolve("killed");
            Chains.copyStore(original, path);
            int position = seed.random().nextInt(1, calls + 1);
            ChildProcess.Exit exit =
                    children.java(Victim.class, path.toString(), Integer.toString(position)).awaitExit();
            assertThat(exit.wasKilled()).as(exit.toString()).isTrue();
            requireSame(path, chains, "killed at call " + position + " of " + calls);
            Chains.remove(path);
        }
    }

    /** The process that is killed. */
    static final class Victim {
        private Victim() {
        }

        public static void main(String[] arguments) throws IOException {
            compact(FaultyPosix.host().at(Integer.parseInt(arguments[1])).killsTheProcess().posix(),
                    Path.of(arguments[0]));
        }
    }

    /** Returns whether the last snapshot still is a diff. */
    private static boolean requireSame(Path path, Chains chains, String what) throws IOException {
        try (DirectoryStore store = open(path)) {
            assertThat(path.resolve(".staging")).as(what).isEmptyDirectory();
            assertThat(store.list()).as(what).hasSize(chains.contents().size());
            chains.requireExact(store, what);
            return store.inspect(LAST).isDiff();
        }
    }

    private static int callsOfACompact(Path original, Path path) throws IOException {
        Chains.copyStore(original, path);
        FaultyPosix counting = FaultyPosix.host();
        compact(counting.posix(), path);
        assertThat(counting.openDescriptors()).isEmpty();
        return counting.calls();
    }

    private static int step(FileSystemKind kind) {
        return Effort.choose(41, kind == FileSystemKind.EXT4 ? 41 : 83, 1);
    }

    private static void compact(Posix calls, Path path) throws IOException {
        try (DirectoryStore store = DirectoryStore.open(calls, path, StoreOptions.PRIVATE)) {
            Export.compact(store, LAST, 1, Progress.NONE);
        }
    }

    private static DirectoryStore open(Path path) throws IOException {
        return DirectoryStore.open(Posix.host(), path, StoreOptions.PRIVATE);
    }

    private static DirectoryStore chain(Path path, Chains chains) throws IOException {
        DirectoryStore store = DirectoryStore.openOrCreate(Posix.host(), path, StoreOptions.PRIVATE);
        chains.capture(store, "vm", 3);
        return store;
    }

    /** A page that the last snapshot finds in the first. */
    private static long unchangedPage(DirectoryStore store) throws IOException {
        try (StoredSnapshot held = store.hold(LAST)) {
            long page = 0;
            while (held.pageMap().orElseThrow().test(page) || held.base().orElseThrow().pageMap().orElseThrow()
                    .test(page)) {
                page++;
            }
            return page;
        }
    }

    private static long staged(Path store) throws IOException {
        try (Stream<Path> names = Files.list(store.resolve(".staging"))) {
            return names.count();
        }
    }
}
