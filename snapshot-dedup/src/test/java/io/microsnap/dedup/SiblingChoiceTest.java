package io.microsnap.dedup;

import static io.microsnap.dedup.Bakery.bake;
import static io.microsnap.dedup.Bakery.changed;
import static io.microsnap.dedup.Bakery.describe;
import static io.microsnap.dedup.Bakery.id;
import static io.microsnap.testsupport.FileSystemKind.TMPFS;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.dedup.internal.IndexLikeness;
import io.microsnap.dedup.internal.SiblingChoice;
import io.microsnap.store.Manifest;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SiblingChoiceTest {
    private static final int LENGTH = 2 << 20;
    private static final int PAGE = Bakery.PAGE;
    private static final int LARGE_PAGES = 64 << 10;

    @TempDir
    Path directory;

    /** Twenty siblings; the fresh one is a changed copy of one of them, and never of the newest. */
    @RealFileSystems(TMPFS)
    void theBestOfTwentyIsChosenWhereverItIsAndTheNewestIsNot(Path memory, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        for (int family = 0; family < 5; family++) {
            byte[] guest = sparse(random);
            List<byte[]> siblings = new ArrayList<>();
            try (DirectoryStore store = Bakery.store(Files.createDirectory(memory.resolve("family-" + family)))) {
                for (int sibling = 0; sibling < 20; sibling++) {
                    siblings.add(differing(guest, 12 + random.nextInt(100), random));
                    bake(store, "sibling-" + sibling, siblings.getLast());
                }
                Deduplicator deduplicator = new Deduplicator(store);
                for (int round = 0; round < 20; round++) {
                    int best = random.nextInt(19);
                    bake(store, "fresh", differing(siblings.get(best), 20, random));
                    assertThat(first(deduplicator, SiblingPolicy.MOST_ALIKE)).isEqualTo(id("sibling-" + best));
                    assertThat(first(deduplicator, SiblingPolicy.NEWEST)).isEqualTo(id("sibling-19"));
                    store.delete(id("fresh"));
                }
            }
        }
    }

    /** Large guests, of which a sample is looked at; they differ in a few places, as guests of one image do. */
    @RealFileSystems(TMPFS)
    void theBestOfTwentyLargeGuestsIsChosenWhereverTheyDiffer(Path memory, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        for (int family = 0; family < 4; family++) {
            int[] guest = random.ints(LARGE_PAGES).toArray();
            int best = random.nextInt(19);
            boolean inPlaces = family % 2 == 0;
            try (DirectoryStore store = Bakery.store(Files.createDirectory(memory.resolve("family-" + family)))) {
                for (int sibling = 0; sibling < 20; sibling++) {
                    int percent = sibling == best ? 4 : 5 + random.nextInt(20);
                    Bakery.bakeIndex(store, "sibling-" + sibling, inPlaces
                            ? changedInPlaces(guest, percent, random) : scattered(guest, percent, random));
                }
                Bakery.bakeIndex(store, "fresh", guest);
                List<Sibling> ranked =
                        new Deduplicator(store).siblings(id("fresh"), SiblingPolicy.MOST_ALIKE);
                assertThat(ranked.getFirst().reference().id()).as("family " + family + ", " + seed)
                        .isEqualTo(id("sibling-" + best));
                assertThat(ranked.getFirst().likeness()).isBetween(0.95, 0.97);
            }
        }
    }

    @RealFileSystems(TMPFS)
    void aSampleComesCloseAndWhatIsTheSameNeedsNone(Path memory, Seed seed) throws IOException {
        int[] guest = seed.random().ints(LARGE_PAGES).toArray();
        try (DirectoryStore store = Bakery.store(memory)) {
            Bakery.bakeIndex(store, "like", scattered(guest, 30, seed.random()));
            Bakery.bakeIndex(store, "fresh", guest);
            try (StoredSnapshot fresh = store.hold(id("fresh")); StoredSnapshot like = store.hold(id("like"))) {
                IndexLikeness likeness = new IndexLikeness(SiblingChoice.evidence(fresh));
                IndexLikeness.Likeness sampled = likeness.sampled(SiblingChoice.evidence(like), 8);
                IndexLikeness.Likeness exact = likeness.exact(SiblingChoice.evidence(like));
                assertThat(exact.share()).isBetween(0.69, 0.71);
                assertThat(sampled.share()).isBetween(exact.share() - 0.05, exact.share() + 0.05);
                assertThat(likeness.sampled(SiblingChoice.evidence(fresh), 0))
                        .isEqualTo(new IndexLikeness.Likeness(LARGE_PAGES, LARGE_PAGES));
            }
        }
    }

    @Test
    void onlySnapshotsOfTheSameImageSizeLayoutAndVersionAreSiblings() throws IOException {
        byte[] guest = TwoImages.bytes(LENGTH, 1);
        SnapshotDescription same = describe(LENGTH);
        try (DirectoryStore store = Bakery.store(directory)) {
            bake(store, "other-image", guest, same.withImage("alpine"));
            bake(store, "other-version", guest, same.withBakedByVersion("2.0"));
            bake(store, "no-image", guest, SnapshotDescription.full(same.layout()).withBakedByVersion("1.0"));
            bake(store, "other-regions", guest, SnapshotDescription.full(GuestLayout.of(PAGE, List.of(
                    new Region(0, LENGTH / 2), new Region(4L << 30, LENGTH / 2))))
                    .withImage(Bakery.IMAGE).withBakedByVersion(Bakery.VERSION));
            bake(store, "other-length", Arrays.copyOf(guest, LENGTH / 2));
            bake(store, "fresh", guest);
            Deduplicator deduplicator = new Deduplicator(store);
            assertThat(deduplicator.siblings(id("fresh"), SiblingPolicy.MOST_ALIKE)).isEmpty();
            bake(store, "sibling", changed(guest, 90, new SplittableRandom(1)));
            assertThat(first(deduplicator, SiblingPolicy.MOST_ALIKE)).isEqualTo(id("sibling"));
        }
    }

    @Test
    void amongEquallyAlikeOnesLineageCountsAndThenTheNewest() throws IOException {
        byte[] guest = TwoImages.bytes(LENGTH, 1);
        try (DirectoryStore store = Bakery.store(directory)) {
            bake(store, "one", guest);
            Manifest parent = bake(store, "parent", guest);
            bake(store, "two", guest);
            bake(store, "fresh", guest, describe(LENGTH).withParent(parent.reference()));
            bake(store, "orphan", guest);
            Deduplicator deduplicator = new Deduplicator(store);
            assertThat(deduplicator.siblings(id("fresh"), SiblingPolicy.MOST_ALIKE).stream()
                    .map(sibling -> sibling.reference().id()))
                    .containsExactly(id("parent"), id("orphan"), id("two"), id("one"));
            assertThat(deduplicator.siblings(id("orphan"), SiblingPolicy.MOST_ALIKE).getFirst().reference().id())
                    .isEqualTo(id("fresh"));
        }
    }

    @Test
    void zerosInCommonMakeNobodyAlike() throws IOException {
        byte[] guest = new byte[LENGTH];
        System.arraycopy(TwoImages.bytes(64 * PAGE, 1), 0, guest, 0, 64 * PAGE);
        byte[] someAlike = TwoImages.bytes(LENGTH, 2);
        System.arraycopy(guest, 0, someAlike, 0, 16 * PAGE);
        try (DirectoryStore store = Bakery.store(directory)) {
            bake(store, "some-alike", someAlike);
            bake(store, "zeros", new byte[LENGTH]);
            bake(store, "fresh", guest);
            List<Sibling> ranked = new Deduplicator(store).siblings(id("fresh"), SiblingPolicy.MOST_ALIKE);
            assertThat(ranked.getFirst().reference().id()).isEqualTo(id("some-alike"));
            assertThat(ranked.getFirst().likeness()).isEqualTo(0.25);
            assertThat(ranked.getLast().likeness()).isZero();
        }
    }

    @Test
    void damagedSiblingsArePassedOver() throws IOException {
        byte[] guest = TwoImages.bytes(LENGTH, 1);
        try (DirectoryStore store = Bakery.store(directory)) {
            bake(store, "good", changed(guest, 50, new SplittableRandom(1)));
            bake(store, "damaged-entries", guest);
            bake(store, "no-image", guest);
            bake(store, "short-image", guest);
            bake(store, "lying-manifest", guest);
            bake(store, "fresh", guest);
            damage(file("damaged-entries", SnapshotFiles.PAGE_INDEX), 8192);
            Files.delete(file("no-image", SnapshotFiles.MEMORY));
            Files.write(file("short-image", SnapshotFiles.MEMORY), new byte[PAGE]);
            Path manifest = file("lying-manifest", SnapshotFiles.MANIFEST);
            Files.writeString(manifest, Files.readString(manifest).replaceAll("root:[0-9a-f]{8}", "root:00c0ffee"));
            assertThat(new Deduplicator(store).siblings(id("fresh"), SiblingPolicy.MOST_ALIKE).stream()
                    .map(sibling -> sibling.reference().id())).containsExactly(id("good"));
            for (int at = 0; at < 5; at++) {
                bake(store, "damaged-" + at, guest);
                damage(file("damaged-" + at, SnapshotFiles.PAGE_INDEX), 8192);
            }
            assertThat(first(new Deduplicator(store), SiblingPolicy.MOST_ALIKE))
                    .as("though more are damaged than are looked at closely").isEqualTo(id("good"));
        }
    }

    @Test
    void aDiffIsAlikeInWhatItHoldsItself() throws IOException {
        byte[] base = TwoImages.bytes(LENGTH, 1);
        byte[] one = base.clone();
        System.arraycopy(TwoImages.bytes(32 * PAGE, 2), 0, one, 0, 32 * PAGE);
        byte[] other = one.clone();
        System.arraycopy(TwoImages.bytes(8 * PAGE, 3), 0, other, 0, 8 * PAGE);
        try (DirectoryStore store = Bakery.store(directory)) {
            bake(store, "base", base);
            Bakery.bakeDiff(store, "one", "base", base, one);
            Bakery.bakeDiff(store, "other", "base", base, other);
            List<Sibling> ranked = new Deduplicator(store).siblings(id("other"), SiblingPolicy.MOST_ALIKE);
            assertThat(ranked.getFirst().reference().id()).isEqualTo(id("one"));
            assertThat(ranked.getFirst().likeness()).isEqualTo(24.0 / 32);
            assertThat(ranked.getLast().reference().id()).isEqualTo(id("base"));
            assertThat(ranked.getLast().likeness()).isZero();
        }
    }

    /** Its image has holes there. */
    @Test
    void whatADiffHasFromItsBaseMakesItNotAlike() throws IOException {
        byte[] guest = TwoImages.bytes(LENGTH, 1);
        byte[] other = TwoImages.bytes(LENGTH, 2);
        byte[] some = guest.clone();
        System.arraycopy(other, 0, some, 0, 16 * PAGE);
        try (DirectoryStore store = Bakery.store(directory)) {
            bake(store, "base", guest);
            Bakery.bakeDiff(store, "diff", "base", guest, some);
            bake(store, "other-base", other);
            Bakery.bakeDiff(store, "other-diff", "other-base", other, some);
            bake(store, "fresh", some);
            assertThat(likeness(store, "fresh", "diff")).isEqualTo(16.0 * PAGE / LENGTH);
            assertThat(likeness(store, "fresh", "other-diff")).isEqualTo(1 - 16.0 * PAGE / LENGTH);
            assertThat(likeness(store, "diff", "other-diff")).isZero();
            assertThat(likeness(store, "diff", "fresh")).isEqualTo(1);
        }
    }

    private static double likeness(DirectoryStore store, String target, String sibling) throws IOException {
        return new Deduplicator(store).siblings(id(target), SiblingPolicy.MOST_ALIKE).stream()
                .filter(found -> found.reference().id().equals(id(sibling))).findFirst().orElseThrow().likeness();
    }

    private static SnapshotId first(Deduplicator deduplicator, SiblingPolicy policy) throws IOException {
        return deduplicator.siblings(id("fresh"), policy).getFirst().reference().id();
    }

    private static int[] scattered(int[] guest, int percent, SplittableRandom random) {
        int[] changed = guest.clone();
        for (int page = 0; page < changed.length; page++) {
            changed[page] += random.nextInt(100) < percent ? 1 : 0;
        }
        return changed;
    }

    /** In three stretches. */
    private static int[] changedInPlaces(int[] guest, int percent, SplittableRandom random) {
        int[] changed = guest.clone();
        int stretch = guest.length / 100 * percent / 3;
        for (int place = 0; place < 3; place++) {
            int third = guest.length / 3;
            int from = place * third + random.nextInt(third - stretch);
            for (int page = from; page < from + stretch; page++) {
                changed[page]++;
            }
        }
        return changed;
    }

    /** A guest of which four pages in five are zero. */
    private static byte[] sparse(SplittableRandom random) {
        byte[] guest = new byte[LENGTH];
        for (int page = 0; page < LENGTH; page += PAGE) {
            if (random.nextInt(5) == 0) {
                byte[] bytes = new byte[PAGE];
                random.nextBytes(bytes);
                System.arraycopy(bytes, 0, guest, page, PAGE);
            }
        }
        return guest;
    }

    /** The guest with this many of its pages that are not zero changed. */
    private static byte[] differing(byte[] guest, int pages, SplittableRandom random) {
        byte[] differing = guest.clone();
        int left = Math.min(pages, count(guest) - 1);
        while (left > 0) {
            int at = random.nextInt(LENGTH / PAGE) * PAGE;
            if (guest[at] != 0 && guest[at] == differing[at]) {
                differing[at] += (byte) (1 + random.nextInt(255));
                left--;
            }
        }
        return differing;
    }

    /** Pages that start with something: those that can be told to be changed. */
    private static int count(byte[] guest) {
        int count = 0;
        for (int page = 0; page < LENGTH; page += PAGE) {
            count += guest[page] != 0 ? 1 : 0;
        }
        return count;
    }

    private Path file(String snapshot, String file) {
        return directory.resolve("store").resolve(snapshot).resolve(file);
    }

    private static void damage(Path file, long offset) {
        FileDeduplicatorTest.write(file, offset, new byte[] {1, 2, 3});
    }
}
