package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.BusyException;
import io.microsnap.core.CancelledException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.store.Manifest;
import io.microsnap.store.SnapshotRequiredException;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What stays when a store is pruned is byte for byte what it was, and what goes is not what anything needs. */
final class PruneTest {
    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS})
    void ofAHundredChainsTheNewestSnapshotsSurviveByteForByte(Path directory, FileSystemKind kind, Seed seed)
            throws IOException {
        int count = kind == FileSystemKind.XFS ? Effort.choose(20, 100, 100) : Effort.choose(5, 5, 100);
        Chains chains = new Chains(seed.random());
        try (DirectoryStore store = open(directory.resolve("store"))) {
            List<Chains.Guest> guests = new ArrayList<>();
            for (int chain = 0; chain < count; chain++) {
                guests.add(chains.new Guest("vm" + chain));
            }
            for (int generation = 0; generation < 3; generation++) {
                for (Chains.Guest guest : guests) {
                    guest.capture(store);
                }
            }
            for (Chains.Guest guest : guests) {
                guest.close();
            }
            Prune.Report report = Prune.of(store, 2 * count).threads(2).run();
            assertThat(report.left()).isEmpty();
            assertThat(report.compacted()).hasSize(count).allMatch(id -> id.name().endsWith("-1"));
            assertThat(report.deleted()).hasSize(count).allMatch(id -> id.name().endsWith("-0"));
            assertThat(names(store)).containsExactlyInAnyOrderElementsOf(
                    report.kept().stream().map(SnapshotId::name).toList());
            assertThat(store.inspect(id("vm0-2")).isDiff()).as("needs only what stays").isTrue();
            chains.requireExact(store, "two of each chain");
        }
    }

    @Test
    void onlySnapshotsWithTheLabelsAreCountedAndOthersThatNeedThemAreMadeComplete(@TempDir Path directory, Seed seed)
            throws IOException {
        Chains chains = new Chains(seed.random());
        try (DirectoryStore store = open(directory.resolve("store"))) {
            chains.capture(store, "a", 3);
            chains.capture(store, "b", 2);
            Prune.Plan plan = Prune.of(store, 1).labelled(Chains.LABEL, "a").plan();
            assertThat(plan.delete()).extracting(Manifest::id).as("each before its base")
                    .containsExactly(id("a-1"), id("a-0"));
            assertThat(store.list()).as("a plan changes nothing").hasSize(5);
            Prune.of(store, 1).labelled(Chains.LABEL, "a").labelled("colour", "red").run();
            assertThat(store.list()).as("none has both labels").hasSize(5);
            // Everything but a-2 goes; so would what it needs, were it not made complete.
            assertThat(Prune.of(store, 1).labelled(Chains.LABEL, "a").run().deleted()).hasSize(2);
            assertThat(names(store)).containsExactly("a-2", "b-0", "b-1");
            chains.requireExact(store, "of a one, of b all");
        }
        assertThatThrownBy(() -> Prune.of(open(directory.resolve("other")), 0))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("at least 1");
    }

    @Test
    void whatIsInUseStaysWithWhatItNeedsAndIsReported(@TempDir Path directory, Seed seed) throws IOException {
        Chains chains = new Chains(seed.random());
        try (DirectoryStore store = open(directory.resolve("store"))) {
            chains.capture(store, "a", 4);
            chains.capture(store, "b", 3);
            Prune.Report report;
            try (StoredSnapshot _ = store.hold(id("a-1"))) {
                report = Prune.of(store, 1).run();
                assertThat(report.left()).containsOnlyKeys(id("a-1"), id("a-0"));
                assertThat(report.left().get(id("a-1"))).isInstanceOf(BusyException.class)
                        .hasMessageContaining("is in use");
                assertThat(report.left().get(id("a-0"))).isInstanceOf(SnapshotRequiredException.class);
            }
            assertThat(names(store)).containsExactly("a-0", "a-1", "b-2");
            chains.requireExact(store, "what was in use stays");
            assertThat(Prune.of(store, 1).run().deleted()).containsExactly(id("a-1"), id("a-0"));
        }
    }

    @Test
    void stoppedItTellsWhatItHasDoneAndGoesOnWhenRunAgain(@TempDir Path directory, Seed seed) throws IOException {
        Chains chains = new Chains(seed.random());
        try (DirectoryStore store = open(directory.resolve("store"))) {
            chains.capture(store, "a", 4);
            long[] told = {0, -1};
            Prune.Report stopped = Prune.of(store, 1).progress((done, total) -> {
                assertThat(done).isGreaterThanOrEqualTo(told[0]).isLessThanOrEqualTo(total);
                assertThat(total).isEqualTo(told[1] < 0 ? total : told[1]);
                told[0] = done;
                told[1] = total;
                if (done > Chains.LAYOUT.lengthBytes()) {
                    throw new CancelledException("enough");
                }
            }).run();
            assertThat(stopped.cancelled()).isTrue();
            assertThat(stopped.compacted()).containsExactly(id("a-3"));
            assertThat(stopped.deleted()).containsExactly(id("a-2"));
            chains.requireExact(store, "stopped");
            assertThat(Prune.of(store, 1).run().deleted()).containsExactly(id("a-1"), id("a-0"));
        }
    }

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS})
    void killedOrFailingAtAnyCallWhatStaysIsExactAndTheNextRunFinishes(Path directory, FileSystemKind kind, Seed seed)
            throws IOException {
        Chains chains = new Chains(seed.random());
        Path original = directory.resolve("original");
        int calls = prepared(chains, original, directory.resolve("counted"));
        int step = Effort.choose(197, kind == FileSystemKind.EXT4 ? 149 : 293, 1);
        Set<Integer> sizes = new TreeSet<>();
        // Every seed sees all three: before the first deletion, between two of them, and after the last.
        Set<Integer> positions = new TreeSet<>(Set.of(1, calls * 9 / 10, calls));
        for (int position = seed.random().nextInt(1, step + 1); position <= calls; position += step) {
            positions.add(position);
        }
        for (int position : positions) {
            for (boolean dies : new boolean[] {true, false}) {
                Path path = directory.resolve("struck");
                Chains.copyStore(original, path);
                FaultyPosix struck = dies ? FaultyPosix.host().deadFrom(position)
                        : FaultyPosix.host().at(position).fails(Errno.EIO);
                try {
                    prune(struck.posix(), path);
                } catch (FaultyPosix.Dead | IOException expected) {
                    assertThat(expected).hasMessageMatching("(?s).*(dead from|EIO|" + path + ").*");
                }
                if (dies) {
                    struck.bury();
                }
                String what = (dies ? "dead from" : "EIO at") + " call " + position + " of " + calls;
                assertThat(struck.openDescriptors()).as(what).isEmpty();
                sizes.add(requireExactAndFinish(chains, path, what));
                Chains.remove(path);
            }
        }
        assertThat(sizes).as("seen before, after and between").contains(2).hasSizeGreaterThan(2);
    }

    @RealFileSystems(FileSystemKind.XFS)
    void aRealKillLeavesWhatStaysExact(Path directory, ChildProcesses children, Seed seed) throws IOException {
        Chains chains = new Chains(seed.random());
        Path original = directory.resolve("original");
        int calls = prepared(chains, original, directory.resolve("counted"));
        for (int sample = 0; sample < Effort.choose(1, 1, 40); sample++) {
            Path path = directory.resolve("killed");
            Chains.copyStore(original, path);
            int position = seed.random().nextInt(1, calls + 1);
            ChildProcess.Exit exit =
                    children.java(Victim.class, path.toString(), Integer.toString(position)).awaitExit();
            assertThat(exit.wasKilled()).as(exit.toString()).isTrue();
            requireExactAndFinish(chains, path, "killed at call " + position + " of " + calls);
            Chains.remove(path);
        }
    }

    /** The process that is killed. */
    static final class Victim {
        private Victim() {
        }

        public static void main(String[] arguments) throws IOException {
            prune(FaultyPosix.host().at(Integer.parseInt(arguments[1])).killsTheProcess().posix(),
                    Path.of(arguments[0]));
        }
    }

    private static int prepared(Chains chains, Path original, Path counted) throws IOException {
        try (DirectoryStore store = open(original)) {
            chains.capture(store, "a", 3);
            chains.capture(store, "b", 3);
        }
        Chains.copyStore(original, counted);
        FaultyPosix counting = FaultyPosix.host();
        prune(counting.posix(), counted);
        assertThat(counting.openDescriptors()).isEmpty();
        return counting.calls();
    }

    /** How many snapshots there were before it was finished. */
    private static int requireExactAndFinish(Chains chains, Path path, String what) throws IOException {
        try (DirectoryStore store = open(path)) {
            List<String> found = names(store);
            assertThat(path.resolve(".staging")).as(what).isEmptyDirectory();
            assertThat(found).as(what).contains("b-1", "b-2");
            chains.requireExact(store, what);
            assertThat(Prune.of(store, 2).run().left()).as(what).isEmpty();
            assertThat(names(store)).as(what).containsExactly("b-1", "b-2");
            chains.requireExact(store, what + ", finished");
            return found.size();
        }
    }

    private static void prune(Posix calls, Path path) throws IOException {
        try (DirectoryStore store = DirectoryStore.open(calls, path, StoreOptions.PRIVATE)) {
            Prune.of(store, 2).run();
        }
    }

    private static List<String> names(DirectoryStore store) throws IOException {
        List<String> names = new ArrayList<>();
        store.list().forEach(entry -> names.add(entry.name()));
        return names;
    }

    private static DirectoryStore open(Path path) throws IOException {
        return DirectoryStore.openOrCreate(Posix.host(), path, StoreOptions.PRIVATE);
    }

    private static SnapshotId id(String name) {
        return new SnapshotId(name);
    }
}
