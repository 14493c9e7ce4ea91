package io.microsnap.dedup;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.TMPFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.store.HeldSnapshot;
import io.microsnap.core.store.SnapshotStore;
import io.microsnap.dedup.DedupOutcome.Deduplicated;
import io.microsnap.dedup.DedupOutcome.LeftAlone;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.SplittableRandom;

class StoreDeduplicatorTest {
    private static final int LENGTH = 8 << 20;

    private final byte[] guest = TwoImages.bytes(LENGTH, 1);
    private final SplittableRandom random = new SplittableRandom(2);

    @RealFileSystems({XFS, BTRFS})
    void aSnapshotSharesWithTheSiblingMostLikeItAndNotWithTheNewest(Path directory) throws IOException {
        try (SnapshotStore store = Bakery.store(directory)) {
            byte[] like = Bakery.changed(guest, 5, random);
            Bakery.bake(store, "alike", guest);
            Bakery.bake(store, "newest", Bakery.changed(guest, 60, random));
            Bakery.bake(store, "fresh", like);
            DedupOutcome outcome = new AfterBake(store).baked(Bakery.id("fresh"));
            assertThat(outcome).isInstanceOfSatisfying(Deduplicated.class, done -> {
                assertThat(done.report().sibling().orElseThrow().reference().id()).isEqualTo(Bakery.id("alike"));
                assertThat(done.report().engine()).contains(Engine.SHARE_IN_PLACE);
                assertThat(done.report().pages().read()).as("indexes and the kernel do the comparing").isZero();
                assertThat(done.report().after().orElseThrow().sharedBytes()).isGreaterThan(LENGTH * 8 / 10);
            });
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
            assertThat(new StoreDeduplicator(store).deduplicate(
                    Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS))
                    .isInstanceOfSatisfying(LeftAlone.class,
                            alone -> assertThat(alone.reason()).isEqualTo(Reason.ALREADY_SHARED));
            assertThat(new StoreDeduplicator(store).siblings(Bakery.id("fresh"), SiblingPolicy.NEWEST).getFirst()
                    .reference().id()).isEqualTo(Bakery.id("newest"));
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void aCloneTakesTheImagesPlaceInTheStore(Path directory) throws IOException {
        try (SnapshotStore store = Bakery.store(directory)) {
            byte[] like = Bakery.changed(guest, 5, random);
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "fresh", like);
            DedupOutcome outcome = new StoreDeduplicator(store).deduplicate(Bakery.id("fresh"),
                    SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP).withRereading());
            assertThat(outcome).isInstanceOfSatisfying(Deduplicated.class, done -> {
                assertThat(done.report().engine()).contains(Engine.CLONE_AND_SWAP);
                assertThat(done.report().after().orElseThrow().sharedBytes()).isGreaterThan(LENGTH * 8 / 10);
            });
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
            try (HeldSnapshot held = store.hold(Bakery.id("fresh"))) {
                held.verifyFiles();
                assertThat(held.image().status().permissions()).isEqualTo(0400);
            }
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void anImageThatIsHeldStaysTheSameFile(Path directory) throws IOException {
        try (SnapshotStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "fresh", Bakery.changed(guest, 5, random));
            StoreDeduplicator deduplicator = new StoreDeduplicator(store);
            try (HeldSnapshot held = store.hold(Bakery.id("fresh"))) {
                assertThat(deduplicator.deduplicate(Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE,
                        DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP)))
                        .isInstanceOfSatisfying(LeftAlone.class,
                                alone -> assertThat(alone.reason()).isEqualTo(Reason.IN_USE));
                assertThat(deduplicator.deduplicate(Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE,
                        DedupOptions.DEFAULTS)).isInstanceOf(Deduplicated.class);
                try (HeldSnapshot again = store.hold(Bakery.id("fresh"))) {
                    assertThat(again.image().status().sameFile(held.image().status())).isTrue();
                }
            }
        }
    }

    @RealFileSystems({EXT4, TMPFS})
    void whereBlocksCannotBeSharedNothingHappens(Path directory) throws IOException {
        try (SnapshotStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "fresh", guest);
            for (Engine engine : Engine.values()) {
                assertThat(new StoreDeduplicator(store).deduplicate(Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE,
                        DedupOptions.DEFAULTS.with(engine))).isInstanceOfSatisfying(LeftAlone.class, alone -> {
                            assertThat(alone.reason()).isEqualTo(Reason.UNSUPPORTED);
                            assertThat(alone.report().orElseThrow().pages().read()).isZero();
                        });
            }
            assertThat(Bakery.image(store, "fresh")).isEqualTo(guest);
        }
    }

    @RealFileSystems(XFS)
    void whatIsMissingIsSaid(Path directory) throws IOException {
        try (SnapshotStore store = Bakery.store(directory)) {
            Bakery.bake(store, "only", guest);
            StoreDeduplicator deduplicator = new StoreDeduplicator(store);
            assertThat(reason(deduplicator.deduplicate(Bakery.id("only"), SiblingPolicy.MOST_ALIKE,
                    DedupOptions.DEFAULTS))).isEqualTo(Reason.NO_SIBLING);
            assertThat(reason(deduplicator.deduplicate(Bakery.id("only"), Bakery.id("none"), DedupOptions.DEFAULTS)))
                    .isEqualTo(Reason.SIBLING_GONE);
            assertThat(reason(deduplicator.deduplicate(Bakery.id("only"), Bakery.id("ONLY"), DedupOptions.DEFAULTS)))
                    .isEqualTo(Reason.SAME_FILE);
            assertThatThrownBy(() -> deduplicator.deduplicate(Bakery.id("none"), SiblingPolicy.MOST_ALIKE,
                    DedupOptions.DEFAULTS)).isInstanceOf(NoSuchFileException.class);
            assertThat(new AfterBake(store).baked(Bakery.id("none"))).isInstanceOf(DedupOutcome.Failed.class);
        }
    }

    private static Reason reason(DedupOutcome outcome) {
        assertThat(outcome).isInstanceOf(LeftAlone.class);
        return ((LeftAlone) outcome).reason();
    }
}
