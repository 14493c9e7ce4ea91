package io.microsnap.benchmarks;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.dedup.SiblingPolicy;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;

/** The most alike of many siblings, by their page indexes; the peer is a stopwatch that shows what is allowed. */
final class SiblingChoiceScenario implements Scenario {
    private static final int SIBLINGS = 100;
    private static final int BEST = 42;
    private static final int PAGE = 4096;
    private static final long LENGTH = 1L << 30;
    private static final long ALLOWED_MILLIS = 50;
    private static final int CHOICES_TO_WARM = 40;
    private static final SnapshotId FRESH = new SnapshotId("fresh");

    @Override
    public String name() {
        return "dedup/sibling";
    }

    @Override
    public String question() {
        return "the most alike of " + SIBLINGS + " siblings of 1 GiB, beside the " + ALLOWED_MILLIS + " ms allowed";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1);
    }

    @Override
    public long workingSetBytes() {
        return 1L << 29;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        DirectoryStore store = workbench.closeLater(DirectoryStore.openOrCreate(Posix.host(),
                workbench.directory(FileSystemKind.XFS).resolve("store"), StoreOptions.PRIVATE));
        int[] fresh = new SplittableRandom(1).ints(LENGTH / PAGE).toArray();
        for (int sibling = 0; sibling < SIBLINGS; sibling++) {
            publish(store, new SnapshotId("sibling-" + sibling), differing(fresh, sibling == BEST ? 4 : 5, sibling));
        }
        publish(store, FRESH, fresh);
        Deduplicator deduplicator = new Deduplicator(store);
        return new Duel(
                Contestant.java(() -> { }, () -> requireBest(deduplicator)),
                () -> TimeUnit.MILLISECONDS.toNanos(ALLOWED_MILLIS),
                () -> { })
                // A manager of machines bakes one after another: what is measured is compiled code.
                .warmedBy(() -> {
                    for (int choice = 0; choice < CHOICES_TO_WARM; choice++) {
                        requireBest(deduplicator);
                    }
                });
    }

    private static void requireBest(Deduplicator deduplicator) throws IOException {
        SnapshotId chosen = deduplicator.siblings(FRESH, SiblingPolicy.MOST_ALIKE).getFirst().reference().id();
        if (!chosen.equals(new SnapshotId("sibling-" + BEST))) {
            throw new IOException(chosen + " was chosen, and sibling-" + BEST + " is the most alike");
        }
    }

    private static int[] differing(int[] entries, int percent, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        int[] differing = entries.clone();
        for (int page = 0; page < differing.length; page++) {
            differing[page] += random.nextInt(100) < percent ? 1 : 0;
        }
        return differing;
    }

    /** The image is one hole: its index is all that is looked at. */
    private static void publish(DirectoryStore store, SnapshotId id, int[] entries) throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, LENGTH);
        try (StagedSnapshot staged = store.stage(id); Arena arena = Arena.ofConfined();
                PageIndex index = PageIndex.create(staged.create(SnapshotFiles.PAGE_INDEX), layout)) {
            staged.create(SnapshotFiles.MEMORY).truncate(LENGTH);
            MemorySegment crcs = arena.allocateFrom(ValueLayout.JAVA_INT, entries);
            index.set(0, crcs);
            index.finish();
            staged.publish(SnapshotDescription.full(layout).withImage("image").withBakedByVersion("1"));
        }
    }
}
