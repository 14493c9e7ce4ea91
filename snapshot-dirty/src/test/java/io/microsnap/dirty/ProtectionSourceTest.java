package io.microsnap.dirty;

import static io.microsnap.dirty.BitmapModel.runsOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.dirty.BitmapModel.Run;
import io.microsnap.dirty.internal.ProtectionSource;
import io.microsnap.dirty.internal.WriteProtection;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** On a memory management unit of the test's own, where what happens in between can be chosen. */
class ProtectionSourceTest {
    private static final int PAGE = 16 << 10;
    private static final long BLOCK = 2 << 20;
    private static final int PAGES_IN_BLOCK = (int) (BLOCK / PAGE);
    private static final int PAGES = 5 * PAGES_IN_BLOCK / 2;
    private static final GuestLayout LAYOUT = GuestLayout.of(PAGE, List.of(
            new Region(0, 100L * PAGE), new Region(1L << 32, (PAGES - 100L) * PAGE)));
    private static final SnapshotReference SNAPSHOT =
            new SnapshotReference(new SnapshotId("base"), new UUID(1, 2), 3);

    private final Mmu mmu = new Mmu();
    private final ProtectionSource source = new ProtectionSource("protection", mmu, BLOCK);

    @Test
    void oneFaultLetsABlockThroughAndReportsAllOfIt() throws IOException {
        source.arm();
        mmu.guestWrites(3);
        mmu.guestWrites(PAGES_IN_BLOCK - 1);
        assertThat(mmu.faults).isEqualTo(1);
        assertThat(runsOf(harvest(), 0)).containsExactly(new Run(0, BLOCK));
        assertThat(runsOf(harvest(), 0)).isEmpty();
    }

    @Test
    void theLastBlockEndsWithTheImage() throws IOException {
        source.arm();
        mmu.guestWrites(PAGES - 1);
        assertThat(runsOf(harvest(), 0)).containsExactly(new Run(2 * BLOCK, BLOCK / 2));
    }

    @Test
    void aBlockOfWhichLittleChangesIsSplitAndJoinedAgainWhenMostOfItDoes() throws IOException {
        try (DirtyTracker tracker = DirtyTracker.of(LAYOUT, source)) {
            tracker.arm();
            capture(tracker, 5);
            assertThat(source.splitBlocks()).isEqualTo(1);
            assertThat(capture(tracker, 5, 9)).isEqualTo(2);
            assertThat(mmu.faults).as("one for the block, then one a page").isEqualTo(1 + 2);
            int[] half = IntStream.range(0, PAGES_IN_BLOCK / 2).toArray();
            assertThat(capture(tracker, half)).isEqualTo(half.length);
            assertThat(source.splitBlocks()).isZero();
            assertThat(capture(tracker, half)).isEqualTo(PAGES_IN_BLOCK);
            assertThat(source.splitBlocks()).as("half of it is worth one fault").isZero();
        }
    }

    @Test
    void nothingIsSplitUnlessSomebodyCompared() throws IOException {
        try (DirtyTracker tracker = DirtyTracker.of(LAYOUT, source)) {
            tracker.arm();
            mmu.guestWrites(1);
            tracker.harvest().commit(SNAPSHOT);
            assertThat(source.splitBlocks()).isZero();
            Epoch epoch = tracker.harvest();
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> epoch.tellChanged(DirtyBitmap.of(LAYOUT, BLOCK)))
                    .withMessageContaining("2097152");
        }
    }

    @Test
    void marksOfOthersDoNotSplitABlock() throws IOException {
        try (DirtyTracker tracker = DirtyTracker.of(LAYOUT, source)) {
            tracker.arm();
            tracker.markWritten(7 * PAGE, 1);
            Epoch epoch = tracker.harvest();
            epoch.tellChanged(DirtyBitmap.of(LAYOUT));
            epoch.commit(SNAPSHOT);
            assertThat(source.splitBlocks()).isZero();
        }
    }

    /** Setting the bit first would be wrong: the harvest takes it, and the page is let through without one. */
    @Test
    void aHarvestWhileAFaultLetsItsPageThroughLosesNothing() throws IOException {
        for (Moment moment : Moment.values()) {
            Mmu unit = new Mmu();
            Copier copier = new Copier(unit);
            unit.duringAllow(moment, copier::harvestAndCopy);
            unit.guestWrites(3);
            unit.guestWrites(4);
            copier.harvestAndCopy();
            assertThat(copier.copy).as("%s", moment).isEqualTo(unit.memory);
        }
    }

    /** Wrong if bits were taken last: the page is let through with a bit that the harvest takes as its own. */
    @Test
    void aFaultWhileAHarvestProtectsLosesNothing() throws IOException {
        for (Moment moment : Moment.values()) {
            Mmu unit = new Mmu();
            Copier copier = new Copier(unit);
            unit.guestWrites(3);
            unit.duringProtect(moment, () -> unit.guestWrites(3));
            copier.harvestAndCopy();
            unit.guestWrites(3);
            copier.harvestAndCopy();
            assertThat(copier.copy).as("%s", moment).isEqualTo(unit.memory);
        }
    }

    @Test
    void randomGuestsWithBlocksThatSplitAndJoinLoseNothing(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        for (int run = 0; run < Effort.choose(20, 200, 2000); run++) {
            Mmu unit = new Mmu();
            Copier copier = new Copier(unit);
            for (int epoch = 0; epoch < 20; epoch++) {
                int writes = random.nextInt(1 << random.nextInt(10));
                for (int write = 0; write < writes; write++) {
                    unit.guestWrites(random.nextInt(random.nextBoolean() ? PAGES : 20));
                }
                int page = random.nextInt(PAGES);
                Moment moment = Moment.values()[random.nextInt(2)];
                switch (random.nextInt(3)) {
                    case 0 -> unit.duringProtect(moment, () -> unit.guestWrites(page));
                    case 1 -> unit.duringAllow(moment, copier::harvestAndCopy);
                    default -> { }
                }
                unit.guestWrites(page);
                copier.harvestAndCopy();
            }
            copier.harvestAndCopy();
            assertThat(copier.copy).as("%s", seed).isEqualTo(unit.memory);
        }
    }

    @Test
    void protectionThatFailsMakesTheEpochUnknownAndTheGuestGoesOn() throws IOException {
        try (DirtyTracker tracker = DirtyTracker.of(LAYOUT, source)) {
            tracker.armRelativeTo(SNAPSHOT);
            mmu.guestWrites(3);
            mmu.duringProtect(Moment.BEFORE, () -> {
                throw new IOException("HV_ERROR");
            });
            Epoch epoch = tracker.harvest();
            assertThat(epoch.relativeTo()).isEmpty();
            assertThat(epoch.unknownBecause()).hasValueSatisfying(reason -> assertThat(reason).contains("HV_ERROR"));
            epoch.commit(SNAPSHOT);
            mmu.guestWrites(200);
            Epoch next = tracker.harvest();
            assertThat(next.relativeTo()).contains(SNAPSHOT);
            assertThat(runsOf(next.bitmap(), 0)).containsExactly(new Run(BLOCK, BLOCK));
        }
        assertThat(mmu.writable.cardinality()).as("closed: nothing is protected any more").isEqualTo(PAGES);
    }

    @Test
    void aFaultThatArrivesAfterDisarmingIsLetThrough() throws IOException {
        source.arm();
        source.disarm();
        source.faulted(3 * PAGE);
        assertThatThrownBy(this::harvest).isInstanceOf(IllegalStateException.class);
        source.arm();
        assertThat(runsOf(harvest(), 0)).isEmpty();
    }

    private DirtyBitmap harvest() throws IOException {
        DirtyBitmap bitmap = DirtyBitmap.of(LAYOUT);
        source.harvest(bitmap);
        return bitmap;
    }

    /** Writes, captures, tells what changed; returns how many pages were reported. */
    private long capture(DirtyTracker tracker, int... pages) throws IOException {
        DirtyBitmap changed = DirtyBitmap.of(LAYOUT);
        for (int page : pages) {
            mmu.guestWrites(page);
            changed.set((long) page * PAGE);
        }
        Epoch epoch = tracker.harvest();
        long reported = epoch.bitmap().count();
        epoch.tellChanged(changed);
        epoch.commit(SNAPSHOT);
        return reported;
    }

    private enum Moment { BEFORE, AFTER }

    private interface Interruption {
        void happen() throws IOException;
    }

    /** A base and the epochs after it, and the blocks told what changed in them. */
    private static final class Copier {
        private final Mmu unit;
        private final ProtectionSource source;
        private final int[] copy = new int[PAGES];

        Copier(Mmu unit) throws IOException {
            this.unit = unit;
            source = new ProtectionSource("protection", unit, BLOCK);
            unit.source = source;
            source.arm();
        }

        void harvestAndCopy() throws IOException {
            DirtyBitmap reported = DirtyBitmap.of(LAYOUT);
            DirtyBitmap changed = DirtyBitmap.of(LAYOUT);
            source.harvest(reported);
            reported.runs(0, (offset, length) -> {
                for (int page = (int) (offset / PAGE); page < (offset + length) / PAGE; page++) {
                    if (copy[page] != unit.memory[page]) {
                        copy[page] = unit.memory[page];
                        changed.set((long) page * PAGE);
                    }
                }
            });
            source.learn(reported, changed);
        }
    }

    private final class Mmu implements WriteProtection {
        private final BitSet writable = new BitSet();
        private final int[] memory = new int[PAGES];
        private ProtectionSource source;
        private int faults;
        private int lastValue;
        private Moment moment = Moment.BEFORE;
        private Interruption inAllow;
        private Interruption inProtect;

        Mmu() {
            writable.set(0, PAGES);
        }

        void duringAllow(Moment when, Interruption what) {
            moment = when;
            inAllow = what;
        }

        void duringProtect(Moment when, Interruption what) {
            moment = when;
            inProtect = what;
        }

        void guestWrites(int page) throws IOException {
            while (!writable.get(page)) {
                faults++;
                (source == null ? ProtectionSourceTest.this.source : source).faulted((long) page * PAGE + 17);
            }
            memory[page] = ++lastValue;
        }

        @Override
        public GuestLayout layout() {
            return LAYOUT;
        }

        @Override
        public void protect(long imageOffset, long lengthBytes) throws IOException {
            Interruption interruption = inProtect;
            inProtect = null;
            around(interruption, () -> set(imageOffset, lengthBytes, false));
        }

        @Override
        public void allow(long imageOffset, long lengthBytes) throws IOException {
            Interruption interruption = inAllow;
            inAllow = null;
            around(interruption, () -> set(imageOffset, lengthBytes, true));
        }

        private void around(Interruption interruption, Runnable effect) throws IOException {
            if (interruption != null && moment == Moment.BEFORE) {
                interruption.happen();
            }
            effect.run();
            if (interruption != null && moment == Moment.AFTER) {
                interruption.happen();
            }
        }

        private void set(long imageOffset, long lengthBytes, boolean mayWrite) {
            assertThat(imageOffset % PAGE).isZero();
            assertThat(lengthBytes % PAGE).isZero();
            writable.set((int) (imageOffset / PAGE), (int) ((imageOffset + lengthBytes) / PAGE), mayWrite);
        }
    }
}
