package io.microsnap.dedup;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.TMPFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.BusyException;
import io.microsnap.core.CancelledException;
import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dedup.DedupOutcome.Deduplicated;
import io.microsnap.dedup.DedupOutcome.LeftAlone;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.AfterBake;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

class DeduplicatorTest {
    private static final int LENGTH = 8 << 20;

    private final byte[] guest = TwoImages.bytes(LENGTH, 1);
    private final SplittableRandom random = new SplittableRandom(2);

    @RealFileSystems({XFS, BTRFS})
    void aSnapshotSharesWithTheSiblingMostLikeItAndNotWithTheNewest(Path directory, FileSystemKind kind)
            throws IOException {
        try (DirectoryStore store = Bakery.store(directory)) {
            byte[] like = Bakery.changed(guest, 5, random);
            Bakery.bake(store, "alike", guest);
            Bakery.bake(store, "newest", Bakery.changed(guest, 60, random));
            Bakery.bake(store, "fresh", like);
            DedupOutcome outcome = AfterBake.usual().with(DedupOptions.DEFAULTS).baked(store, Bakery.id("fresh"));
            assertThat(outcome).isInstanceOfSatisfying(Deduplicated.class, done -> {
                assertThat(done.report().sibling().orElseThrow().reference().id()).isEqualTo(Bakery.id("alike"));
                assertThat(done.report().engine()).contains(kind == BTRFS
                        ? Engine.SHARE_IN_PLACE : Engine.CLONE_AND_SWAP);
                if (kind == BTRFS) {
                    assertThat(done.report().pages().read()).as("indexes and the kernel do the comparing").isZero();
                }
                assertThat(done.report().after().orElseThrow().sharedBytes()).isGreaterThan(LENGTH * 8 / 10);
            });
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
            assertThat(new Deduplicator(store).deduplicate(
                    Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS))
                    .isInstanceOfSatisfying(LeftAlone.class,
                            alone -> assertThat(alone.reason()).isEqualTo(Reason.ALREADY_SHARED));
            assertThat(new Deduplicator(store).siblings(Bakery.id("fresh"), SiblingPolicy.NEWEST).getFirst()
                    .reference().id()).isEqualTo(Bakery.id("newest"));
        }
    }

    /** The holder of the lock has put a clone in its place: the snapshot is there, in another file. */
    @RealFileSystems({XFS, BTRFS})
    void aSnapshotWhoseImageWasReplacedWhileItsLockWasWaitedForIsWorkedOnAllTheSame(Path directory) throws IOException {
        try (DirectoryStore theirs = Bakery.store(directory)) {
            byte[] like = Bakery.changed(guest, 5, random);
            Bakery.bake(theirs, "old", guest);
            Bakery.bake(theirs, "fresh", like);
            FaultyPosix racing = FaultyPosix.host();
            boolean[] replaced = {false};
            racing.before(call -> {
                if (call.name().equals("fdatasync") && !replaced[0]) {
                    replaced[0] = true;
                    replace(directory.resolve("store/fresh").resolve(SnapshotFiles.MEMORY));
                }
            });
            try (DirectoryStore ours = Bakery.store(racing.posix(), directory)) {
                assertThat(new Deduplicator(ours).deduplicate(
                        Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS))
                        .isInstanceOf(Deduplicated.class);
            }
            assertThat(replaced).containsExactly(true);
            assertThat(Bakery.image(theirs, "fresh")).isEqualTo(like);
            assertThat(racing.openDescriptors()).isEmpty();
        }
    }

    private static void replace(Path file) {
        try {
            Files.move(Files.copy(file, file.resolveSibling("copy")), file, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void aCloneTakesTheImagesPlaceInTheStore(Path directory) throws IOException {
        try (DirectoryStore store = Bakery.store(directory)) {
            byte[] like = Bakery.changed(guest, 5, random);
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "fresh", like);
            Files.setPosixFilePermissions(directory.resolve("store/fresh").resolve(SnapshotFiles.MEMORY),
                    PosixFilePermissions.fromString("r--r-----"));
            DedupOutcome outcome = new Deduplicator(store).deduplicate(Bakery.id("fresh"),
                    SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP).withRereading());
            assertThat(outcome).isInstanceOfSatisfying(Deduplicated.class, done -> {
                assertThat(done.report().engine()).contains(Engine.CLONE_AND_SWAP);
                assertThat(done.report().after().orElseThrow().sharedBytes()).isGreaterThan(LENGTH * 8 / 10);
            });
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
            try (StoredSnapshot held = store.hold(Bakery.id("fresh"))) {
                held.verifyFiles();
                assertThat(held.image().status().permissions()).isEqualTo(0440);
            }
        }
    }

    /** Nobody should write to what is published; but if somebody does, it is not thrown away. */
    @RealFileSystems({XFS, BTRFS})
    void anImageThatIsWrittenMeanwhileIsNotReplaced(Path directory) throws IOException {
        byte[] like = Bakery.changed(guest, 5, random);
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "fresh", like);
        }
        Path image = directory.resolve("store/fresh").resolve(SnapshotFiles.MEMORY);
        byte[] written = TwoImages.bytes(Bakery.PAGE, 4);
        FaultyPosix racing = FaultyPosix.host();
        racing.before(call -> {
            // When it is cloned, all that is asked about the two has been asked.
            if (call.name().equals("ioctl") && call.arguments().get(1).equals(Posix.host().constants().FICLONE)) {
                FileDeduplicatorTest.write(image, 0, written);
            }
        });
        try (DirectoryStore store = Bakery.store(racing.posix(), directory)) {
            assertThat(reason(new Deduplicator(store).deduplicate(Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE,
                    DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP)))).isEqualTo(Reason.TARGET_CHANGED);
            System.arraycopy(written, 0, like, 0, written.length);
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
        }
        assertThat(racing.openDescriptors()).isEmpty();
    }

    @RealFileSystems({XFS, BTRFS})
    void aHolderKeepsTheFileThatItHoldsAndItsBytes(Path directory) throws IOException {
        byte[] like = Bakery.changed(guest, 5, random);
        for (DedupOptions options : List.of(DedupOptions.DEFAULTS, DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP))) {
            Path place = Files.createTempDirectory(directory, "place");
            try (DirectoryStore store = Bakery.store(place)) {
                Bakery.bake(store, "old", guest);
                Bakery.bake(store, "fresh", like);
                try (StoredSnapshot held = store.hold(Bakery.id("fresh"));
                        Mapping memory = Mapping.file(held.image(), 0, LENGTH, Access.PRIVATE)) {
                    assertThat(new Deduplicator(store)
                            .deduplicate(Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE, options))
                            .isInstanceOf(Deduplicated.class);
                    assertThat(memory.segment().toArray(ValueLayout.JAVA_BYTE)).isEqualTo(like);
                    held.verifyFiles();
                }
                assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
            }
        }
    }

    /** There the kernel zeroes pages that a restored guest may have mapped, for a moment. */
    @RealFileSystems(XFS)
    void anImageInUseIsNotSharedInPlaceOnXfs(Path directory) throws IOException {
        DedupOptions inPlace = DedupOptions.DEFAULTS.with(Engine.SHARE_IN_PLACE);
        try (DirectoryStore store = Bakery.store(directory)) {
            byte[] base = Bakery.changed(guest, 5, random);
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "base", base);
            Deduplicator deduplicator = new Deduplicator(store);
            try (StoredSnapshot held = store.hold(Bakery.id("base"))) {
                assertThat(reason(deduplicator.deduplicate(Bakery.id("base"), Bakery.id("old"), inPlace)))
                        .as("%s is held", held).isEqualTo(Reason.IN_USE);
            }
            Bakery.bakeDiff(store, "diff", "base", base, Bakery.changed(base, 5, random));
            assertThat(reason(deduplicator.deduplicate(Bakery.id("base"), Bakery.id("old"), inPlace)))
                    .as("another snapshot needs it").isEqualTo(Reason.IN_USE);
            assertThat(deduplicator.deduplicate(Bakery.id("base"), Bakery.id("old"), DedupOptions.DEFAULTS))
                    .isInstanceOf(Deduplicated.class);
            assertThat(Bakery.image(store, "base")).isEqualTo(base);
        }
    }

    @RealFileSystems(BTRFS)
    void onBtrfsAnImageThatOthersNeedStaysTheSameFile(Path directory) throws IOException {
        try (DirectoryStore store = Bakery.store(directory)) {
            byte[] base = Bakery.changed(guest, 5, random);
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "base", base);
            Bakery.bakeDiff(store, "diff", "base", base, Bakery.changed(base, 5, random));
            Stat before = imageStatus(store, "base");
            assertThat(new Deduplicator(store).deduplicate(Bakery.id("base"), Bakery.id("old"), DedupOptions.DEFAULTS))
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
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", halfEmpty);
            Bakery.bake(store, "fresh", guest);
            assertThat(new Deduplicator(store).deduplicate(
                    Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE,
                    DedupOptions.DEFAULTS.with(Engine.SHARE_IN_PLACE)))
                    .isInstanceOfSatisfying(Deduplicated.class, done -> {
                        assertThat(done.report().pages().read()).isZero();
                        assertThat(done.report().pages().different()).isEqualTo(LENGTH / 2 / Bakery.PAGE);
                        assertThat(done.report().sharedBytes()).isEqualTo(LENGTH / 2);
                    });
            assertThat(Bakery.image(store, "fresh")).isEqualTo(guest);
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void dataWhereADiffHoldsNothingIsKnownToDifferWithoutBeingRead(Path directory) throws IOException {
        byte[] changed = guest.clone();
        byte[] half = guest.clone();
        for (int page = 0; page < LENGTH; page += Bakery.PAGE) {
            changed[page]++;
            half[page] = page / (LENGTH / 4) % 2 == 0 ? changed[page] : guest[page];
        }
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "base", guest);
            Bakery.bakeDiff(store, "half", "base", guest, half);
            Bakery.bakeDiff(store, "whole", "base", guest, changed);
            assertThat(new Deduplicator(store).deduplicate(Bakery.id("whole"), Bakery.id("half"),
                    DedupOptions.DEFAULTS.with(Engine.SHARE_IN_PLACE)))
                    .isInstanceOfSatisfying(Deduplicated.class, done -> {
                        assertThat(done.report().pages().read()).isZero();
                        assertThat(done.report().pages().different()).isEqualTo(LENGTH / 2 / Bakery.PAGE);
                        assertThat(done.report().sharedBytes()).isEqualTo(LENGTH / 2);
                    });
            assertThat(Bakery.image(store, "whole")).isEqualTo(changed);
        }
    }

    /** More pages than indexes are compared at a time. */
    @RealFileSystems(XFS)
    void inALargeImageIndexesTellEveryDifference(Path directory) throws IOException {
        byte[] large = TwoImages.bytes(5 * LENGTH, 3);
        byte[] like = Bakery.changed(large, 20, random);
        like[large.length - Bakery.PAGE]++;
        long differing = 0;
        for (int page = 0; page < large.length; page += Bakery.PAGE) {
            differing += Arrays.equals(large, page, page + Bakery.PAGE, like, page, page + Bakery.PAGE) ? 0 : 1;
        }
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", large);
            Bakery.bake(store, "fresh", like);
            DedupOutcome outcome = new Deduplicator(store).deduplicate(Bakery.id("fresh"), Bakery.id("old"),
                    DedupOptions.DEFAULTS.with(FragmentationPolicy.DEFAULT.sharingEverything())
                            .with(Engine.SHARE_IN_PLACE));
            assertThat(((Deduplicated) outcome).report().pages().different()).isEqualTo(differing);
            assertThat(((Deduplicated) outcome).report().pages().read()).isZero();
        }
    }

    /** Their indexes are of other pages, and no help. */
    @RealFileSystems({XFS, BTRFS})
    void imagesOfOtherPagesAreComparedByTheirBytes(Path directory) throws IOException {
        byte[] like = Bakery.changed(guest, 20, random);
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "large-pages", guest,
                    SnapshotDescription.full(GuestLayout.ofSingleRegion(4 * Bakery.PAGE, LENGTH)));
            Bakery.bake(store, "fresh", like);
            assertThat(new Deduplicator(store).deduplicate(
                    Bakery.id("fresh"), Bakery.id("large-pages"), DedupOptions.DEFAULTS))
                    .isInstanceOfSatisfying(Deduplicated.class, done -> {
                        assertThat(done.report().pages().read()).isEqualTo(LENGTH / Bakery.PAGE);
                        assertThat(done.report().sharedBytes()).isGreaterThan(LENGTH / 2);
                    });
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
        }
    }

    /** The indexes tell everything; but the kernel reads what it shares. */
    @RealFileSystems({XFS, BTRFS})
    void whatTheKernelReadsIsPacedAndCanBeInterrupted(Path directory) throws Exception {
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "fresh", Bakery.changed(guest, 20, random));
            Throwable thrown = Interruption.asSoonAsItWaits(() -> new Deduplicator(store).deduplicate(
                    Bakery.id("fresh"), Bakery.id("old"),
                    DedupOptions.DEFAULTS.with(Engine.SHARE_IN_PLACE).withBytesPerSecond(1)));
            assertThat(thrown).isInstanceOf(CancelledException.class);
        }
    }

    /** As after a copy that knows no holes: zeros stand where a diff holds nothing, whatever the index says there. */
    @RealFileSystems({XFS, BTRFS})
    void whatADiffDoesNotHoldIsComparedByItsBytes(Path directory) throws IOException {
        byte[] zeros = new byte[LENGTH];
        byte[] changed = guest.clone();
        for (int page = 0; page < LENGTH; page += Bakery.PAGE) {
            if (page / (LENGTH / 4) % 2 == 0) {
                changed[page]++;
                System.arraycopy(changed, page, zeros, page, Bakery.PAGE);
            }
        }
        for (boolean diffIsTarget : new boolean[] {false, true}) {
            Path place = Files.createDirectory(directory.resolve("diff-is-target-" + diffIsTarget));
            try (DirectoryStore store = Bakery.store(place)) {
                Bakery.bake(store, "base", guest);
                Bakery.bakeDiff(store, "diff", "base", guest, changed);
                Bakery.bake(store, "full", zeros);
                for (String name : List.of("diff", "full")) {
                    FileDeduplicatorTest.write(
                            place.resolve("store").resolve(name).resolve(SnapshotFiles.MEMORY), 0, zeros);
                }
                assertThat(new Deduplicator(store).deduplicate(Bakery.id(diffIsTarget ? "diff" : "full"),
                        Bakery.id(diffIsTarget ? "full" : "diff"), DedupOptions.DEFAULTS))
                        .isInstanceOfSatisfying(Deduplicated.class,
                                done -> assertThat(done.report().sharedBytes()).isEqualTo(LENGTH));
            }
        }
    }

    @RealFileSystems(XFS)
    void aDamagedCanonicalIsRefusedAndTheTargetStays(Path directory) throws IOException {
        try (DirectoryStore store = Bakery.store(directory)) {
            byte[] like = Bakery.changed(guest, 5, random);
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "fresh", like);
            Path old = directory.resolve("store/old");
            Path manifest = old.resolve(SnapshotFiles.MANIFEST);
            String truth = Files.readString(manifest);
            Deduplicator deduplicator = new Deduplicator(store);
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
        siblingGoes(directory, store -> delete(store, "best"));
    }

    @RealFileSystems(XFS)
    void aSiblingReplacedMeanwhileIsNotTakenForTheOneThatWasCompared(Path directory) throws IOException {
        byte[] other = Bakery.changed(guest, 40, random);
        siblingGoes(directory, store -> {
            if (delete(store, "best")) {
                Bakery.bake(store, "best", other);
            }
        });
    }

    private interface Going {
        void of(DirectoryStore store) throws IOException;
    }

    private void siblingGoes(Path directory, Going going) throws IOException {
        byte[] like = Bakery.changed(guest, 5, random);
        boolean there = true;
        int gone = 0;
        for (int moment = 1; there; moment++) {
            Path place = Files.createDirectory(directory.resolve("moment-" + moment));
            try (DirectoryStore store = Bakery.store(place)) {
                SnapshotReference best = Bakery.bake(store, "best", guest).reference();
                Bakery.bake(store, "second", Bakery.changed(guest, 20, random));
                Bakery.bake(store, "fresh", like);
                int[] seen = {0};
                int at = moment;
                FaultyPosix racing = FaultyPosix.host();
                racing.before(call -> {
                    if (call.name().equals("openat") && call.arguments().contains("best") && ++seen[0] == at) {
                        try {
                            going.of(store);
                        } catch (IOException e) {
                            throw new UncheckedIOException(e);
                        }
                    }
                });
                DedupOutcome outcome;
                try (DirectoryStore watched = Bakery.store(racing.posix(), place)) {
                    outcome = new Deduplicator(watched).deduplicate(
                            Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS);
                }
                there = seen[0] >= at;
                assertThat(outcome).as("at moment " + at).isInstanceOf(Deduplicated.class);
                SnapshotReference sibling = ((Deduplicated) outcome).report().sibling().orElseThrow().reference();
                try (StoredSnapshot held = store.hold(sibling.id())) {
                    assertThat(held.reference()).as("at moment " + at).isEqualTo(sibling);
                }
                gone += sibling.equals(best) ? 0 : 1;
                assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
                assertThat(racing.openDescriptors()).isEmpty();
            }
        }
        assertThat(gone).as("how often it was gone in time").isGreaterThan(1);
    }

    private static boolean delete(DirectoryStore store, String name) {
        try {
            store.delete(Bakery.id(name));
            return true;
        } catch (BusyException stays) {
            assertThat(stays).hasMessageContaining(name + " is in use");
            return false;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static long shared(DedupOutcome outcome) {
        return outcome instanceof Deduplicated(DedupReport report) ? report.sharedBytes() : 0;
    }

    private static Stat imageStatus(DirectoryStore store, String name) throws IOException {
        try (StoredSnapshot held = store.hold(Bakery.id(name))) {
            return held.image().status();
        }
    }

    @RealFileSystems({EXT4, TMPFS})
    void whereBlocksCannotBeSharedNothingHappens(Path directory) throws IOException {
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "fresh", guest);
            for (Engine engine : Engine.values()) {
                assertThat(new Deduplicator(store).deduplicate(Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE,
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
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "only", guest);
            Deduplicator deduplicator = new Deduplicator(store);
            assertThat(reason(deduplicator.deduplicate(Bakery.id("only"), SiblingPolicy.MOST_ALIKE,
                    DedupOptions.DEFAULTS))).isEqualTo(Reason.NO_SIBLING);
            assertThat(reason(deduplicator.deduplicate(Bakery.id("only"), Bakery.id("none"), DedupOptions.DEFAULTS)))
                    .isEqualTo(Reason.SIBLING_GONE);
            assertThat(reason(deduplicator.deduplicate(Bakery.id("only"), Bakery.id("ONLY"), DedupOptions.DEFAULTS)))
                    .isEqualTo(Reason.SAME_FILE);
            assertThatThrownBy(() -> deduplicator.deduplicate(Bakery.id("none"), SiblingPolicy.MOST_ALIKE,
                    DedupOptions.DEFAULTS)).isInstanceOf(NoSuchFileException.class);
            assertThat(AfterBake.usual().baked(store, Bakery.id("none"))).isInstanceOf(DedupOutcome.Failed.class);
        }
    }

    private static Reason reason(DedupOutcome outcome) {
        assertThat(outcome).isInstanceOf(LeftAlone.class);
        return ((LeftAlone) outcome).reason();
    }
}
