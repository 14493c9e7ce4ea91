package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.core.testing.PowerLoss;
import io.microsnap.store.StoreOptions;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** Whatever a power failure leaves of an operation's writes, the store recovers to the old state or the new one. */
@Execution(ExecutionMode.CONCURRENT)
class PowerLossTest {
    private final Posix posix = Posix.host();
    private Path directory;
    private Path scratch;

    @RealFileSystems(FileSystemKind.TMPFS)
    void aPublication(Path memory, Seed seed) throws IOException {
        everySyncIsNeeded(StoreChange.PUBLISH, memory, seed);
    }

    @RealFileSystems(FileSystemKind.TMPFS)
    void aDiffOnItsBase(Path memory, Seed seed) throws IOException {
        everySyncIsNeeded(StoreChange.PUBLISH_DIFF, memory, seed);
    }

    @RealFileSystems(FileSystemKind.TMPFS)
    void aReplacement(Path memory, Seed seed) throws IOException {
        everySyncIsNeeded(StoreChange.REPLACE, memory, seed);
    }

    @RealFileSystems(FileSystemKind.TMPFS)
    void aDeletion(Path memory, Seed seed) throws IOException {
        everySyncIsNeeded(StoreChange.DELETE, memory, seed);
    }

    @RealFileSystems(FileSystemKind.TMPFS)
    void aHint(Path memory, Seed seed) throws IOException {
        everySyncIsNeeded(StoreChange.HINT, memory, seed);
    }

    @RealFileSystems(FileSystemKind.TMPFS)
    void anImageInPlaceOfAnIdenticalOne(Path memory, Seed seed) throws IOException {
        PowerLoss loss = record(StoreChange.EXCHANGE_IMAGE, memory);
        PowerLoss.Check check = check(StoreChange.EXCHANGE_IMAGE);
        loss.everyState(scratch, seed.random(), check);
        // Old and new look alike, so nothing can show that the other sync, of the directory, is needed.
        assertThatThrownBy(() -> loss.everyStateWithout(0, scratch, seed.random(), check))
                .as("without the sync of %s", loss.describeSync(0)).isInstanceOf(AssertionError.class);
    }

    @RealFileSystems(FileSystemKind.TMPFS)
    void aNewStore(Path memory, Seed seed) throws IOException {
        inside(memory);
        FaultyPosix calls = FaultyPosix.host();
        PowerLoss loss = PowerLoss.watch(calls, directory);
        store(calls.posix()).close();
        PowerLoss.Check opens = (state, complete) -> {
            Path path = state.resolve("store");
            if (complete) {
                DirectoryStore.open(posix, path, StoreOptions.PRIVATE).close();
            }
            try (DirectoryStore store = DirectoryStore.openOrCreate(posix, path, StoreOptions.PRIVATE)) {
                Snapshots.publish(store, "first", 1);
                assertThat(Snapshots.verify(store, "first")).isEqualTo(1);
            }
        };
        loss.everyState(scratch, seed.random(), opens);
        assertEverySyncIsNeeded(seed, loss, opens);
    }

    /** No clones there, which the model does not know, and no time lost on real syncs. */
    private void inside(Path memory) throws IOException {
        directory = Files.createDirectory(memory.resolve("recorded"));
        scratch = Files.createDirectory(memory.resolve("states"));
    }

    private PowerLoss record(StoreChange change, Path memory) throws IOException {
        inside(memory);
        try (DirectoryStore store = store(posix)) {
            change.prepare(store);
        }
        FaultyPosix calls = FaultyPosix.host();
        PowerLoss loss = PowerLoss.watch(calls, directory.resolve("store"));
        try (DirectoryStore store = store(calls.posix())) {
            change.make(store);
        }
        return loss;
    }

    private void everySyncIsNeeded(StoreChange change, Path memory, Seed seed) throws IOException {
        PowerLoss loss = record(change, memory);
        int states = loss.everyState(scratch, seed.random(), check(change));
        assertThat(states).as("states of %d changes and %d syncs", loss.changes(), loss.syncs())
                .isGreaterThan(loss.changes());
        assertEverySyncIsNeeded(seed, loss, check(change));
    }

    private void assertEverySyncIsNeeded(Seed seed, PowerLoss loss, PowerLoss.Check check) {
        assertThat(loss.syncs()).isPositive();
        for (int sync = 0; sync < loss.syncs(); sync++) {
            int missing = sync;
            assertThatThrownBy(() -> loss.everyStateWithout(missing, scratch, seed.random(), check))
                    .as("without the sync of %s", loss.describeSync(sync)).isInstanceOf(AssertionError.class);
        }
    }

    private PowerLoss.Check check(StoreChange change) {
        return (state, complete) -> {
            try (DirectoryStore store = DirectoryStore.open(posix, state, StoreOptions.PRIVATE)) {
                Set<String> found = StoreChange.contents(store);
                if (complete) {
                    assertThat(found).as("once it has returned").isEqualTo(change.after());
                } else {
                    assertThat(List.of(change.before(), change.after())).as("old or new").contains(found);
                }
            }
            assertThat(state.resolve(".staging").toFile().list()).as("nothing staged is left").isEmpty();
        };
    }

    private DirectoryStore store(Posix through) throws IOException {
        return DirectoryStore.openOrCreate(through, directory.resolve("store"), StoreOptions.PRIVATE);
    }
}
