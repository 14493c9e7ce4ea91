package io.microsnap.dirty.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.Epoch;
import io.microsnap.dirty.WritePath;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * What every {@link DirtySource} promises, tried on a guest of its own kind. A subclass says how to make the guest.
 *
 * <p>A source that reports pages must report exactly what was written; one that reports blocks may name the rest of a
 * block that was written to.
 */
public abstract class DirtySourceContract {
    private TrackedGuest guest;
    private DirtySource source;
    private int pageBytes;
    private int pageCount;
    private int lastValue;

    /** A new guest, whose memory may hold anything. */
    protected abstract TrackedGuest openGuest() throws IOException;

    @BeforeEach
    void open() throws IOException {
        guest = openGuest();
        GuestLayout layout = guest.layout();
        pageBytes = layout.pageBytes();
        pageCount = Math.toIntExact(layout.pageCount());
        source = guest.openSource();
    }

    @AfterEach
    void close() throws IOException {
        try {
            if (source != null) {
                source.close();
            }
        } finally {
            if (guest != null) {
                guest.close();
            }
        }
    }

    @Test
    void itWatchesTheGuestItWasMadeFor() {
        assertThat(source.layout()).isEqualTo(guest.layout());
        assertThat(source.name()).isNotBlank();
        assertThat(Long.bitCount(source.blockBytes())).isEqualTo(1);
        assertThat(source.blockBytes()).isGreaterThanOrEqualTo(pageBytes);
    }

    @Test
    void whereNothingWasWrittenNothingIsReported() throws IOException {
        source.arm();
        assertReported(harvest());
    }

    @Test
    void everyPageWrittenIsReportedAndNoOther() throws IOException {
        source.arm();
        int[] pages = edgesOfRegions();
        write(pages);
        assertReported(harvest(), pages);
    }

    @Test
    void aGuestWrittenAllOverIsReportedAllOver() throws IOException {
        source.arm();
        int[] all = IntStream.range(0, pageCount).filter(page -> !guest.writesByItself(offset(page))).toArray();
        write(all);
        assertReported(harvest(), all);
    }

    @Test
    void aPageWrittenTwiceIsReportedOnceInEachHarvestItWasWrittenBefore() throws IOException {
        source.arm();
        int page = pageCount / 2;
        write(page);
        write(page);
        assertReported(harvest(), page);
        assertReported(harvest());
        write(page);
        assertReported(harvest(), page);
    }

    @Test
    void whatWasWrittenBeforeArmingIsNotReported() throws IOException {
        write(edgesOfRegions());
        source.arm();
        assertReported(harvest());
    }

    @Test
    void armingAgainBeginsAnew() throws IOException {
        source.arm();
        write(0, pageCount - 1);
        source.arm();
        write(pageCount / 3);
        assertReported(harvest(), pageCount / 3);
    }

    @Test
    void whatWasWrittenBeforeArmingAgainIsNotReportedHoweverMuchItWasAndIs() throws IOException {
        source.arm();
        int[] all = IntStream.range(0, pageCount).filter(page -> !guest.writesByItself(offset(page))).toArray();
        write(all);
        source.arm();
        int[] most = IntStream.of(all).filter(page -> page % 4 != 0).toArray();
        write(most);
        assertReported(harvest(), most);
    }

    @Test
    void aHarvestAddsToWhatIsThere() throws IOException {
        source.arm();
        write(pageCount - 1);
        DirtyBitmap bitmap = DirtyBitmap.of(guest.layout());
        bitmap.set(0);
        source.harvest(bitmap);
        assertReported(bitmap, 0, pageCount - 1);
    }

    @Test
    void readingIsNotWriting() throws IOException {
        source.arm();
        MemorySegment page = MemorySegment.ofArray(new byte[pageBytes]);
        for (int number = 0; number < pageCount; number++) {
            guest.read(offset(number), page);
        }
        assertReported(harvest());
    }

    @Test
    void whatIsNotArmedCannotBeHarvested() throws IOException {
        assertThatIllegalStateException().isThrownBy(this::harvest);
        source.disarm();
        source.arm();
        source.disarm();
        source.disarm();
        assertThatIllegalStateException().isThrownBy(this::harvest);
        source.arm();
        write(1);
        assertReported(harvest(), 1);
        source.close();
        source.close();
        assertThatIllegalStateException().isThrownBy(this::harvest);
        assertThatIllegalStateException().isThrownBy(source::arm);
    }

    @Test
    void theGuestIsUnharmedByWhatHappensToItsSource() throws IOException {
        source.arm();
        write(0, pageCount - 1);
        source.disarm();
        write(1);
        source.arm();
        source.close();
        write(2);
        assertThat(firstBytes(2)).isEqualTo(lastValue);
    }

    @Test
    void aBitmapOfAnotherGuestIsRefused() throws IOException {
        source.arm();
        DirtyBitmap other = DirtyBitmap.of(GuestLayout.ofSingleRegion(pageBytes, pageBytes));
        assertThatIllegalArgumentException().isThrownBy(() -> source.harvest(other));
    }

    @Test
    void itSeesEveryWayOfWritingThatItDoesNotDisclaimAndTheOthersNeedTheirMarks() throws IOException {
        try (DirtyTracker tracker = DirtyTracker.of(guest.layout(), source)) {
            tracker.arm();
            for (WritePath path : guest.paths()) {
                int page = 3;
                write(path, page);
                boolean blind = source.blindTo().contains(path);
                Epoch epoch = tracker.harvest();
                assertThat(epoch.bitmap().test(offset(page))).as("%s seen", path).isEqualTo(!blind);
                epoch.commit(published());
                if (blind) {
                    write(path, page);
                    tracker.markWritten(offset(page), pageBytes);
                    Epoch marked = tracker.harvest();
                    assertReported(marked.bitmap(), page);
                    marked.commit(published());
                }
            }
        }
    }

    /** Programs of writes and marks, some of whose captures are abandoned: what is reported is what the model holds. */
    @Test
    void randomProgramsAreReportedExactly(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        try (DirtyTracker tracker = DirtyTracker.of(guest.layout(), source)) {
            tracker.arm();
            BitSet written = new BitSet();
            BitSet marked = new BitSet();
            for (int program = 0; program < Effort.choose(20, 100, 1000); program++) {
                int[] pages = program % 2 == 0 ? randomPages(random) : edgeAmong(randomPages(random), program / 2);
                write(pages);
                IntStream.of(pages).forEach(written::set);
                for (int page : randomPages(random)) {
                    if (random.nextInt(8) == 0) {
                        tracker.markWritten(offset(page) + random.nextInt(pageBytes), 1);
                        marked.set(page);
                    }
                }
                Epoch epoch = tracker.harvest();
                assertReported(epoch.bitmap(), written, marked, "program " + program + ", " + seed);
                if (random.nextInt(3) == 0) {
                    epoch.rollback();
                } else {
                    epoch.commit(published());
                    written.clear();
                    marked.clear();
                }
            }
        }
    }

    @Test
    void aBaseAndTheEpochsOfARunningGuestMakeItsFinalMemory(Seed seed) throws IOException {
        harvestWhileRunning(seed, false);
    }

    @Test
    void soTheyDoWhenEveryThirdPublicationFails(Seed seed) throws IOException {
        harvestWhileRunning(seed, true);
    }

    /** How often a running guest is harvested. */
    protected int harvestsWhileRunning() {
        return Effort.choose(20, 100, 1000);
    }

    private void harvestWhileRunning(Seed seed, boolean failing) throws IOException {
        try (DirtyTracker tracker = DirtyTracker.of(guest.layout(), source); Arena arena = Arena.ofConfined()) {
            MemorySegment copy = arena.allocate(guest.layout().lengthBytes(), pageBytes);
            MemorySegment staged = arena.allocate(guest.layout().lengthBytes(), pageBytes);
            tracker.arm();
            long reported = 0;
            try (TrackedGuest.Writing writing = guest.keepWriting(seed.value())) {
                // The base, taken while the guest runs: what changes meanwhile is in the next epoch.
                tracker.harvest().commit(published());
                guest.read(0, copy);
                for (int round = 0; round < harvestsWhileRunning(); round++) {
                    writing.awaitProgress();
                    Epoch epoch = tracker.harvest();
                    reported += epoch.bitmap().count();
                    // What is read here of a publication that fails never reaches the copy.
                    MemorySegment target = failing && round % 3 == 2 ? staged : copy;
                    epoch.bitmap().runs(0, (offset, length) -> guest.read(offset, target.asSlice(offset, length)));
                    if (target == staged) {
                        epoch.rollback();
                    } else {
                        epoch.commit(published());
                    }
                }
            }
            Epoch last = tracker.harvest();
            assertThat(last.unknownBecause()).isEmpty();
            last.bitmap().runs(0, (offset, length) -> guest.read(offset, copy.asSlice(offset, length)));
            assertThat(reported).as("the guest wrote").isPositive();
            assertSameMemory(copy, seed);
        }
    }

    private void assertSameMemory(MemorySegment copy, Seed seed) throws IOException {
        MemorySegment page = MemorySegment.ofArray(new byte[pageBytes]);
        for (int number = 0; number < pageCount; number++) {
            guest.read(offset(number), page);
            if (!guest.writesByItself(offset(number))) {
                assertThat(page.mismatch(copy.asSlice(offset(number), pageBytes)))
                        .as("page %d differs from the guest's at byte; %s", number, seed).isEqualTo(-1);
            }
        }
    }

    private DirtyBitmap harvest() throws IOException {
        DirtyBitmap bitmap = DirtyBitmap.of(guest.layout());
        source.harvest(bitmap);
        return bitmap;
    }

    private void write(int... pages) throws IOException {
        WritePath path = guest.paths().stream().filter(each -> !source.blindTo().contains(each)).findFirst()
                .orElseThrow(() -> new IllegalStateException("the guest cannot be written by a way that "
                        + source.name() + " sees"));
        write(path, pages);
    }

    private void write(WritePath path, int... pages) throws IOException {
        guest.write(path, IntStream.of(pages).mapToLong(this::offset).toArray(), ++lastValue);
    }

    private int firstBytes(int page) throws IOException {
        MemorySegment bytes = MemorySegment.ofArray(new byte[Integer.BYTES]);
        guest.read(offset(page), bytes);
        return bytes.get(ValueLayout.JAVA_INT_UNALIGNED, 0);
    }

    private void assertReported(DirtyBitmap reported, int... pages) {
        BitSet written = new BitSet();
        IntStream.of(pages).forEach(written::set);
        assertReported(reported, written, new BitSet(), source.name());
    }

    private void assertReported(DirtyBitmap reported, BitSet written, BitSet marked, String context) {
        int pagesInBlock = (int) (source.blockBytes() / pageBytes);
        BitSet missing = new BitSet();
        BitSet unwritten = new BitSet();
        for (int page = 0; page < pageCount; page++) {
            boolean is = reported.test(offset(page));
            int block = page / pagesInBlock * pagesInBlock;
            int inBlock = written.nextSetBit(block);
            boolean may = marked.get(page) || (inBlock >= 0 && inBlock < block + pagesInBlock)
                    || guest.writesByItself(offset(page));
            missing.set(page, !is && (written.get(page) || marked.get(page)));
            unwritten.set(page, is && !may);
        }
        assertThat(missing).as("pages written and not reported; %s", context).isEqualTo(new BitSet());
        assertThat(unwritten).as("pages reported and not written; %s", context).isEqualTo(new BitSet());
    }

    /** The first and last page of every region, and one between. */
    private int[] edgesOfRegions() {
        GuestLayout layout = guest.layout();
        return IntStream.range(0, layout.regions().size()).flatMap(region -> {
            int first = (int) (layout.imageOffset(region) / pageBytes);
            int last = first + (int) (layout.regions().get(region).lengthBytes() / pageBytes) - 1;
            return IntStream.of(first, (first + last) / 2, last);
        }).distinct().filter(page -> !guest.writesByItself(offset(page))).toArray();
    }

    /** With each edge of each region in its turn: random pages alone may miss one for a long time. */
    private int[] edgeAmong(int[] pages, int turn) {
        int[] edges = edgesOfRegions();
        return IntStream.concat(IntStream.of(pages), IntStream.of(edges[turn % edges.length])).sorted().distinct()
                .toArray();
    }

    /** Runs and single pages, few or many. */
    private int[] randomPages(SplittableRandom random) {
        BitSet pages = new BitSet();
        for (int runs = random.nextInt(random.nextBoolean() ? 4 : 30); runs > 0; runs--) {
            int first = random.nextInt(pageCount);
            pages.set(first, Math.min(pageCount, first + 1 + random.nextInt(1 << random.nextInt(7))));
        }
        return pages.stream().filter(page -> !guest.writesByItself(offset(page))).toArray();
    }

    private long offset(int page) {
        return (long) page * pageBytes;
    }

    private SnapshotReference published() {
        UUID uuid = UUID.randomUUID();
        return new SnapshotReference(new SnapshotId("snapshot"), uuid, uuid.hashCode());
    }
}
