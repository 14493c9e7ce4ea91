package io.microsnap.dedup;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.TMPFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.posix.Stat;
import io.microsnap.core.store.HeldSnapshot;
import io.microsnap.core.store.SnapshotFiles;
import io.microsnap.core.store.SnapshotInUseException;
import io.microsnap.core.store.SnapshotStore;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dedup.DedupOutcome.Deduplicated;
import io.microsnap.dedup.DedupOutcome.LeftAlone;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
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

    @RealFileSystems({XFS, BTRFS})
    void anImageThatOthersNeedStaysTheSameFile(Path directory) throws IOException {
        try (SnapshotStore store = Bakery.store(directory)) {
            byte[] base = Bakery.changed(guest, 5, random);
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "base", base);
            Bakery.bakeDiff(store, "diff", "base", base, Bakery.changed(base, 5, random));
            StoreDeduplicator deduplicator = new StoreDeduplicator(store);
            assertThat(reason(deduplicator.deduplicate(Bakery.id("base"), Bakery.id("old"),
                    DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP)))).isEqualTo(Reason.IN_USE);
            Stat before = imageStatus(store, "base");
            assertThat(deduplicator.deduplicate(Bakery.id("base"), Bakery.id("old"), DedupOptions.DEFAULTS))
                    .isInstanceOfSatisfying(Deduplicated.class,
                            done -> assertThat(done.report().engine()).contains(Engine.SHARE_IN_PLACE));
            assertThat(imageStatus(store, "base").sameFile(before)).isTrue();
            assertThat(Bakery.image(store, "base")).isEqualTo(base);
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void dataWhereTheSiblingHasAHoleIsKnownToDifferWithoutBeingRead(Path directory) throws IOException {
        byte[] halfEmpty = guest.clone();
        Arrays.fill(halfEmpty, LENGTH / 2, LENGTH, (byte) 0);
        try (SnapshotStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", halfEmpty);
            Bakery.bake(store, "fresh", guest);
            assertThat(new StoreDeduplicator(store).deduplicate(
                    Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS))
                    .isInstanceOfSatisfying(Deduplicated.class, done -> {
                        assertThat(done.report().pages().read()).isZero();
                        assertThat(done.report().pages().different()).isEqualTo(LENGTH / 2 / Bakery.PAGE);
                        assertThat(done.report().sharedBytes()).isEqualTo(LENGTH / 2);
                    });
            assertThat(Bakery.image(store, "fresh")).isEqualTo(guest);
        }
    }

    /** Single pages differ: so many calls to the kernel that a clone is quicker, if it may take the image's place. */
    @RealFileSystems({XFS, BTRFS})
    void whereRunsAreShortACloneTakesThePlaceOfAnImageNobodyUses(Path directory) throws IOException {
        byte[] scattered = guest.clone();
        for (int page = 0; page < LENGTH; page += 8 * Bakery.PAGE) {
            scattered[page]++;
        }
        DedupOptions options = DedupOptions.DEFAULTS.with(FragmentationBudget.UNLIMITED);
        try (SnapshotStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "fresh", scattered);
            StoreDeduplicator deduplicator = new StoreDeduplicator(store);
            assertThat(deduplicator.deduplicate(Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE, options))
                    .isInstanceOfSatisfying(Deduplicated.class,
                            done -> assertThat(done.report().engine()).contains(Engine.CLONE_AND_SWAP));
            assertThat(Bakery.image(store, "fresh")).isEqualTo(scattered);
            Bakery.bake(store, "used", scattered);
            try (HeldSnapshot held = store.hold(Bakery.id("used"))) {
                assertThat(deduplicator.deduplicate(Bakery.id("used"), Bakery.id("old"), options))
                        .isInstanceOfSatisfying(Deduplicated.class,
                                done -> assertThat(done.report().engine()).contains(Engine.SHARE_IN_PLACE));
                assertThat(held.image().sizeBytes()).isEqualTo(LENGTH);
            }
            assertThat(Bakery.image(store, "used")).isEqualTo(scattered);
        }
    }

    @RealFileSystems(XFS)
    void aDamagedCanonicalIsRefusedAndTheTargetStays(Path directory) throws IOException {
        try (SnapshotStore store = Bakery.store(directory)) {
            byte[] like = Bakery.changed(guest, 5, random);
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "fresh", like);
            Path old = directory.resolve("store/old");
            Path manifest = old.resolve(SnapshotFiles.MANIFEST);
            String truth = Files.readString(manifest);
            StoreDeduplicator deduplicator = new StoreDeduplicator(store);
            for (String lie : List.of("", truth.replaceAll("root:[0-9a-f]{8}", "root:00c0ffee"),
                    truth.replace("\"memory.img\"", "\"../fresh/memory.img\""))) {
                Files.delete(manifest);
                Files.writeString(manifest, lie);
                assertThatThrownBy(() -> deduplicator.deduplicate(
                        Bakery.id("fresh"), Bakery.id("old"), DedupOptions.DEFAULTS))
                        .as(lie).isInstanceOf(DamagedException.class).hasMessageContaining("old");
                assertThat(reason(deduplicator.deduplicate(
                        Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS)))
                        .isEqualTo(Reason.NO_SIBLING);
            }
            Files.delete(manifest);
            Files.writeString(manifest, truth);
            // Its index promises what its image does not hold: the kernel looks, and finds nothing to share.
            Path image = old.resolve(SnapshotFiles.MEMORY);
            Files.delete(image);
            Files.write(image, TwoImages.bytes(LENGTH, 9));
            for (Engine engine : Engine.values()) {
                assertThat(deduplicator.deduplicate(Bakery.id("fresh"), Bakery.id("old"),
                        DedupOptions.DEFAULTS.with(engine))).as(engine.name())
                        .satisfies(outcome -> assertThat(shared(outcome)).isZero());
            }
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
            assertThat(directory.resolve("store/.staging").toFile().list()).isEmpty();
        }
    }

    /** At whatever moment the best sibling goes, the next best does, or it stays because it is in use. */
    @RealFileSystems(XFS)
    void aSiblingDeletedMeanwhileIsNoFailure(Path directory) throws IOException {
        byte[] like = Bakery.changed(guest, 5, random);
        boolean there = true;
        int gone = 0;
        for (int moment = 1; there; moment++) {
            Path place = Files.createDirectory(directory.resolve("moment-" + moment));
            try (SnapshotStore store = Bakery.store(place)) {
                Bakery.bake(store, "best", guest);
                Bakery.bake(store, "second", Bakery.changed(guest, 20, random));
                Bakery.bake(store, "fresh", like);
                int[] seen = {0};
                int at = moment;
                FaultyPosix racing = FaultyPosix.host();
                racing.before(call -> {
                    if (call.name().equals("openat") && call.arguments().contains("best") && ++seen[0] == at) {
                        delete(store, "best");
                    }
                });
                DedupOutcome outcome;
                try (SnapshotStore watched = Bakery.store(racing.posix(), place)) {
                    outcome = new StoreDeduplicator(watched).deduplicate(
                            Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS);
                }
                there = seen[0] >= at;
                assertThat(outcome).as("at moment " + at).isInstanceOf(Deduplicated.class);
                gone += ((Deduplicated) outcome).report().sibling().orElseThrow().reference().id()
                        .equals(Bakery.id("second")) ? 1 : 0;
                assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
                assertThat(racing.openDescriptors()).isEmpty();
            }
        }
        assertThat(gone).as("how often it was gone in time").isGreaterThan(1);
    }

    private static void delete(SnapshotStore store, String name) {
        try {
            store.delete(Bakery.id(name));
        } catch (SnapshotInUseException stays) {
            assertThat(stays).hasMessageContaining(name);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static long shared(DedupOutcome outcome) {
        return outcome instanceof Deduplicated(DedupReport report) ? report.sharedBytes() : 0;
    }

    private static Stat imageStatus(SnapshotStore store, String name) throws IOException {
        try (HeldSnapshot held = store.hold(Bakery.id(name))) {
            return held.image().status();
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
