package io.microsnap.store.internal;

import static io.microsnap.store.internal.Snapshots.id;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.StoreOptions;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ChainLimitTest {
    private static final int LONGEST = SnapshotStore.LONGEST_CHAIN;

    @Test
    void theLongestChainIsUsedAndALongerOneNeitherPublishedNorHeldNorCalledWhole(@TempDir Path directory)
            throws Exception {
        Path path = directory.resolve("store");
        try (DirectoryStore store = DirectoryStore.openOrCreate(Posix.host(), path, StoreOptions.PRIVATE)) {
            Snapshots.publish(store, "base", 1);
            StoredManifest second = Snapshots.publishDiff(store, "chain-2", "base", 2);
            StoredManifest last = LongChain.extend(path, second, LONGEST);
            assertThat(store.list()).hasSize(LONGEST).allMatch(SnapshotEntry.Whole.class::isInstance);
            try (StoredSnapshot held = store.hold(last.id()); StagedSnapshot staged = store.stage(id("one-more"))) {
                assertThat(held.chainLength()).isEqualTo(LONGEST);
                held.verifyFiles();
                for (SnapshotFile file : last.files()) {
                    staged.copy(file.name(), held.open(file.name()), (done, total) -> { });
                }
                assertThatThrownBy(() ->
                        staged.publish(SnapshotDescription.diff(Snapshots.LAYOUT, held.reference())))
                        .isInstanceOf(ChainTooLongException.class).hasMessageContaining("one-more")
                        .hasMessageContaining(Integer.toString(LONGEST));
                staged.publish(SnapshotDescription.diff(Snapshots.LAYOUT, held.base().orElseThrow().reference()));
            }
            StoredManifest beyond = LongChain.extend(path, store.inspect(id("one-more")), 3);
            assertThat(store.list()).filteredOn(entry -> entry.name().equals(beyond.id().name()))
                    .as("%s has %d snapshots", beyond.id(), LONGEST + 1)
                    .allMatch(SnapshotEntry.Unreadable.class::isInstance).hasSize(1);
            assertThatThrownBy(() -> store.hold(beyond.id())).isInstanceOf(ChainTooLongException.class)
                    .hasMessageContaining(beyond.id().name());
        }
    }
}
