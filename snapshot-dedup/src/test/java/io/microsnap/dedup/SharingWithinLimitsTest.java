package io.microsnap.dedup;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.file.Extents;
import io.microsnap.dedup.DedupOutcome.Deduplicated;
import io.microsnap.dedup.DedupOutcome.LeftAlone;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.AfterBake;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Of what is equal as much is shared as leaves an image in few enough extents, and what that will be is foreseen. */
class SharingWithinLimitsTest {
    private static final int PAGE = Bakery.PAGE;
    private static final int LENGTH = 16 << 20;
    private static final FragmentationPolicy POLICY = FragmentationPolicy.DEFAULT;

    private final byte[] guest = TwoImages.bytes(LENGTH, 1);

    /** One page in a hundred differs, wherever: sharing all the rest would take more extents than are allowed. */
    @RealFileSystems({XFS, BTRFS})
    void scatteredSiblingsShareTheirLongestRunsAsTheDryRunSaid(Path directory, Seed seed) throws IOException {
        byte[] like = guest.clone();
        int[] changed = seed.random().ints(LENGTH / PAGE / 100, 0, LENGTH / PAGE).sorted().distinct().toArray();
        for (int page : changed) {
            like[page * PAGE]++;
        }
        long most = POLICY.mostExtentsToShare(LENGTH);
        assertThat(2L * changed.length).isGreaterThan(most);
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", guest);
            Bakery.bake(store, "fresh", like);
            Deduplicator deduplicator = new Deduplicator(store);
            Estimate estimate = deduplicator.estimate(
                    Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS);
            DedupReport report = done(deduplicator.deduplicate(
                    Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS));

            assertThat(estimate.equalBytes()).isEqualTo((long) LENGTH - (long) changed.length * PAGE);
            assertThat((double) report.sharedBytes() / estimate.sharableBytes()).isBetween(0.95, 1.05);
            assertThat(report.sharedBytes()).isGreaterThanOrEqualTo(longestRuns(changed, most / 2 - 8));
            assertThat(report.after().orElseThrow().sharedBytes()).isEqualTo(report.sharedBytes());
            assertThat(extents(store, "fresh")).isLessThanOrEqualTo(most);
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);

            DedupReport all = done(deduplicator.deduplicate(Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE,
                    DedupOptions.DEFAULTS.with(POLICY.sharingEverything())));
            assertThat(report.sharedBytes() + all.sharedBytes()).isGreaterThanOrEqualTo(estimate.equalBytes());
            assertThat(Bakery.image(store, "fresh")).isEqualTo(like);
        }
    }

    /** Other limits, engines and patterns, also one that is cut by the canonical image's own extents. */
    @RealFileSystems({XFS, BTRFS})
    void whateverIsAllowedIsForeseen(Path directory, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        try (DirectoryStore store = Bakery.store(directory)) {
            byte[] old = Bakery.changed(guest, 30, random);
            Bakery.bake(store, "oldest", guest);
            Bakery.bake(store, "old", old);
            done(new Deduplicator(store).deduplicate(
                    Bakery.id("old"), SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS));
            for (Engine engine : Engine.values()) {
                for (long limit : new long[] {2048, 8192, 1 << 20}) {
                    byte[] like = old.clone();
                    random.ints(100, 0, LENGTH / PAGE).forEach(page -> like[page * PAGE]++);
                    String name = engine + "-" + limit;
                    Bakery.bake(store, name, like);
                    DedupOptions options = DedupOptions.DEFAULTS.with(engine)
                            .with(POLICY.withExtentsPerGiBToShare(limit));
                    Estimate estimate = new Deduplicator(store)
                            .estimate(Bakery.id(name), Bakery.id("old"), options);
                    DedupReport report = done(new Deduplicator(store)
                            .deduplicate(Bakery.id(name), Bakery.id("old"), options));
                    assertThat((double) report.sharedBytes() / estimate.sharableBytes()).as(name)
                            .isBetween(0.95, 1.05);
                    assertThat(extents(store, name)).as(name)
                            .isLessThanOrEqualTo(POLICY.withExtentsPerGiBToShare(limit).mostExtentsToShare(LENGTH));
                    assertThat(Bakery.image(store, name)).isEqualTo(like);
                    store.delete(Bakery.id(name));
                }
            }
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void whatWillNotBeSharedIsForeseenWithItsReason(Path directory) throws IOException {
        byte[] scattered = guest.clone();
        IntStream.range(0, LENGTH / PAGE).filter(page -> page % 2 == 0).forEach(page -> scattered[page * PAGE]++);
        try (DirectoryStore store = Bakery.store(directory)) {
            Bakery.bake(store, "old", guest);
            Deduplicator deduplicator = new Deduplicator(store);
            assertThat(foreseen(deduplicator, "old")).isEqualTo(Reason.NO_SIBLING);
            Bakery.bake(store, "fresh", scattered);
            assertThat(foreseen(deduplicator, "fresh")).isEqualTo(Reason.TOO_FRAGMENTED);
            assertThat(((LeftAlone) deduplicator.deduplicate(Bakery.id("fresh"), SiblingPolicy.MOST_ALIKE,
                    DedupOptions.DEFAULTS)).reason()).isEqualTo(Reason.TOO_FRAGMENTED);
            Bakery.bake(store, "again", guest);
            done(deduplicator.deduplicate(Bakery.id("again"), Bakery.id("old"), DedupOptions.DEFAULTS));
            assertThat(foreseen(deduplicator, "again")).isEqualTo(Reason.ALREADY_SHARED);
        }
    }

    /** Each is another's most alike, and all are worked on at once. */
    @RealFileSystems({XFS, BTRFS})
    void eightSiblingsAtOnceWaitForEachOtherAndAllShare(Path directory, Seed seed) throws Exception {
        int siblings = 8;
        byte[] small = Arrays.copyOf(guest, 8 << 20);
        SplittableRandom random = seed.random();
        try (DirectoryStore store = Bakery.store(directory)) {
            List<byte[]> guests = IntStream.range(0, siblings)
                    .mapToObj(index -> Bakery.changed(small, 3, random)).toList();
            for (int index = 0; index < siblings; index++) {
                Bakery.bake(store, "guest-" + index, guests.get(index));
            }
            DedupOutcome[] outcomes = new DedupOutcome[siblings];
            List<Thread> threads = IntStream.range(0, siblings).mapToObj(index -> Thread.ofPlatform().start(() ->
                    outcomes[index] = AfterBake.usual().enabled(true).baked(store, Bakery.id("guest-" + index))))
                    .toList();
            for (Thread thread : threads) {
                thread.join();
            }
            for (int index = 0; index < siblings; index++) {
                assertThat(outcomes[index]).satisfiesAnyOf(
                        outcome -> assertThat(outcome).isInstanceOf(Deduplicated.class),
                        outcome -> assertThat(((LeftAlone) outcome).reason()).isEqualTo(Reason.ALREADY_SHARED));
                assertThat(Bakery.image(store, "guest-" + index)).isEqualTo(guests.get(index));
            }
        }
    }

    private static Reason foreseen(Deduplicator deduplicator, String name) throws IOException {
        Estimate estimate = deduplicator.estimate(
                Bakery.id(name), SiblingPolicy.MOST_ALIKE, DedupOptions.DEFAULTS);
        assertThat(estimate.sharableBytes()).isZero();
        return ((LeftAlone) estimate.expected()).reason();
    }

    private static DedupReport done(DedupOutcome outcome) {
        assertThat(outcome).isInstanceOf(Deduplicated.class);
        return ((Deduplicated) outcome).report();
    }

    /** So many of the longest runs of pages that did not change. */
    private static long longestRuns(int[] changed, long count) {
        return IntStream.rangeClosed(0, changed.length)
                .map(index -> (index < changed.length ? changed[index] : LENGTH / PAGE)
                        - (index == 0 ? 0 : changed[index - 1] + 1))
                .boxed().sorted(Comparator.reverseOrder()).limit(count).mapToLong(pages -> (long) pages * PAGE).sum();
    }

    private static long extents(DirectoryStore store, String name) throws IOException {
        try (StoredSnapshot held = store.hold(Bakery.id(name))) {
            return Extents.summary(held.image()).orElseThrow().extents();
        }
    }
}
