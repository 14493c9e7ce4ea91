package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.CancelledException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Progress;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.testing.ScriptedSource;
import io.microsnap.memory.CopiedAhead.Ended;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.TinyFileSystem;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A guest that writes between the rounds of a copy ahead, each write at a moment that the test chooses. */
final class CopyAheadTest {
    private static final int PAGE = 4096;
    private static final int PAGES = 512;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, (long) PAGES * PAGE);
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId NEXT = new SnapshotId("next");
    /** Goes on until the listener ends it. */
    private static final CopyAhead ON_AND_ON = CopyAhead.usual().enough(0).enough(Duration.ZERO).rounds(100);

    @TempDir
    private Path directory;
    private DirectoryStore store;
    private final ScriptedSource source = new ScriptedSource(LAYOUT);
    private final DirtyTracker tracker = DirtyTracker.of(LAYOUT, source);
    private final Guest guest = new Guest();
    private final List<MemoryWritten> rounds = new ArrayList<>();

    @BeforeEach
    void openStore() throws IOException {
        store = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
        IntStream.range(0, PAGES / 2).forEach(page -> guest.write(page, page + 1));
    }

    @AfterEach
    void closeStore() throws IOException {
        store.close();
        tracker.close();
    }

    /** What the guest does after each round; after the last of them the copying ends. */
    private CopyAhead then(Runnable... afterRounds) {
        return ON_AND_ON.listener((round, written) -> {
            rounds.add(written);
            afterRounds[round - 1].run();
            return round < afterRounds.length;
        });
    }

    private Capture capture() {
        return Capture.of(store, NEXT, guest).tracker(tracker);
    }

    @Test
    void theFirstRoundOfAFirstCaptureCopiesEverythingAndThePauseWhatTheGuestWroteSince() throws IOException {
        CaptureResult result = capture().copyAhead(then(
                () -> guest.write(7, 1000), () -> guest.write(8, 1001), () -> guest.write(9, 1002))).take(guest);

        assertThat(result.kind()).isEqualTo(CaptureKind.FULL);
        assertThat(rounds).extracting(MemoryWritten::pagesOffered).containsExactly((long) PAGES / 2, 1L, 1L);
        assertThat(result.memory().pagesOffered()).isEqualTo(1);
        CopiedAhead ahead = result.copiedAhead().orElseThrow();
        assertThat(ahead.rounds()).isEqualTo(3);
        assertThat(ahead.ended()).isEqualTo(Ended.ASKED);
        assertThat(ahead.bytesCopied()).isEqualTo((PAGES / 2 + 2L) * PAGE);
        assertThat(ahead.pagesCopied()).isEqualTo(PAGES / 2 + 2L);
        assertThat(ahead.pagesAgain()).isEqualTo(2);
        assertThat(result.bytesWritten()).isEqualTo((PAGES / 2 + 3L) * PAGE);
        assertIsThePause(NEXT);
        assertThat(tracker.parent()).contains(result.reference());
    }

    @Test
    void theNextCaptureIsOfWhatChangedSinceThePauseAndNotSinceTheRounds() throws IOException {
        capture().copyAhead(then(() -> guest.write(7, 1000), () -> { })).take(guest);
        guest.write(9, 1);
        CaptureResult later = Capture.of(store, new SnapshotId("later"), guest).tracker(tracker).take(guest);

        assertThat(later.kind()).isEqualTo(CaptureKind.DIFF);
        assertThat(later.memory().pagesRecorded()).isEqualTo(1);
        assertIsThePause(new SnapshotId("later"));
    }

    /** In a full one, a diff and a clone; compared with its base because the tracker does not know, or not. */
    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.BTRFS, FileSystemKind.EXT4, FileSystemKind.TMPFS})
    void aPageIsAsTheLastCopyFoundItWhateverItWasBefore(Path on, FileSystemKind fileSystem) throws IOException {
        for (CaptureKind kind : CaptureKind.values()) {
            boolean possible = fileSystem.reflinks() || kind != CaptureKind.ONTO_BASE;
            for (boolean known : possible ? new boolean[] {true, false} : new boolean[0]) {
                String what = kind + (known ? " known" : " compared");
                try (DirectoryStore own = DirectoryStore.openOrCreate(
                        Posix.host(), on.resolve(what), StoreOptions.PRIVATE)) {
                    everyChangeOfAPage(own, kind, known, what);
                }
            }
        }
    }

    private void everyChangeOfAPage(DirectoryStore own, CaptureKind kind, boolean known, String what)
            throws IOException {
        IntStream.range(0, PAGES).forEach(guest::discard);
        IntStream.range(0, PAGES / 2).forEach(page -> guest.write(page, page + 1));
        CaptureResult base = Capture.of(own, BASE, guest).tracker(tracker).kind(CaptureKind.FULL).take(guest);
        if (!known) {
            tracker.invalidate("a test says so");
        }
        guest.writeRun(10, 60, 5);
        guest.zeroRun(80, 40);
        guest.writeRun(300, 40, 6);
        CaptureResult result = Capture.of(own, NEXT, guest).tracker(tracker).kind(kind).copyAhead(then(
                () -> {
                    guest.zeroRun(10, 20);
                    guest.discardRun(30, 20);
                    guest.writeRun(80, 20, 7);
                    guest.discardRun(300, 20);
                    guest.writeRun(330, 1, 8);
                    // As the base has them.
                    IntStream.range(60, 65).forEach(page -> guest.write(page, page + 1));
                }, () -> {
                    guest.writeRun(15, 3, 9);
                    guest.writeRun(35, 3, 9);
                    guest.zeroRun(85, 3);
                    guest.writeRun(305, 3, 9);
                    guest.discardRun(330, 1);
                }, () -> {
                    guest.discardRun(16, 1);
                    guest.zeroRun(36, 1);
                    guest.writeRun(86, 1, 4);
                    guest.writeRun(400, 20, 4);
                    guest.writeRun(330, 1, 5);
                })).take(guest);

        assertThat(result.memory().pagesDamagedInBase()).as(what).isZero();
        assertIsThePause(own, NEXT, what);
        if (kind == CaptureKind.FULL || kind == CaptureKind.ONTO_BASE) {
            own.delete(BASE);
            assertIsThePause(own, NEXT, what);
        } else {
            assertThat(own.inspect(NEXT).parent()).as(what).contains(base.reference());
        }
    }

    @Test
    void whatBecameZeroBetweenRoundsIsAHoleOfTheImageAfterwards() throws IOException {
        guest.writeRun(0, PAGES, 3);
        CaptureResult result = capture().copyAhead(then(
                () -> guest.zeroRun(0, 128), () -> guest.discardRun(256, 128), () -> { })).take(guest);

        assertThat(result.punchedBytes()).isEqualTo(256L * PAGE);
        assertIsThePause(NEXT);
        long allocated = (Long) Files.getAttribute(directory.resolve("store/next/memory.img"), "unix:size");
        assertThat(allocated).isEqualTo((long) PAGES * PAGE);
        assertThat(blocksBytes(directory.resolve("store/next/memory.img"))).isLessThanOrEqualTo(256L * PAGE);
    }

    private static long blocksBytes(Path file) throws IOException {
        Process process = new ProcessBuilder("stat", "-c", "%b", file.toString()).start();
        return Long.parseLong(new String(process.getInputStream().readAllBytes(),
                java.nio.charset.StandardCharsets.US_ASCII).strip()) * 512;
    }

    @Test
    void aRoundThatIsSmallEnoughIsTheLastOne() throws IOException {
        CopyAhead options = CopyAhead.usual().enough(Duration.ZERO).enough(4 * PAGE).listener((round, written) -> {
            rounds.add(written);
            guest.writeRun(0, switch (round) {
                case 1 -> 20;
                case 2 -> 5;
                default -> 4;
            }, round);
            return true;
        });
        CopiedAhead ahead = capture().copyAhead(options).take(guest).copiedAhead().orElseThrow();

        assertThat(rounds).extracting(MemoryWritten::pagesOffered).containsExactly((long) PAGES / 2, 20L, 5L, 4L);
        assertThat(ahead.ended()).isEqualTo(Ended.ENOUGH);
        assertIsThePause(NEXT);
    }

    @Test
    void aGuestThatWritesAsFastAsItIsCopiedEndsTheRoundsAndIsCapturedAllTheSame() throws IOException {
        CopyAhead noSmaller = ON_AND_ON.listener((round, written) -> {
            guest.writeRun(0, 30, round);
            return true;
        });
        CopiedAhead ahead = capture().copyAhead(noSmaller).take(guest).copiedAhead().orElseThrow();
        assertThat(ahead.rounds()).isEqualTo(3);
        assertThat(ahead.ended()).isEqualTo(Ended.NO_SMALLER);
        assertIsThePause(NEXT);
        store.delete(NEXT);

        CopyAhead slowly = ON_AND_ON.rounds(5).listener((round, written) -> {
            guest.writeRun(0, 100 - round, round);
            return true;
        });
        ahead = capture().kind(CaptureKind.FULL).copyAhead(slowly).take(guest).copiedAhead().orElseThrow();
        assertThat(ahead.rounds()).isEqualTo(5);
        assertThat(ahead.ended()).isEqualTo(Ended.MOST_ROUNDS);
        assertIsThePause(NEXT);
    }

    @Test
    void itMayBeCopiedAheadMoreThanOnceBeforeThePause() throws IOException {
        try (PreparedCapture prepared = capture().copyAhead(then(() -> { })).prepare()) {
            prepared.copyAhead();
            guest.write(7, 1000);
            rounds.clear();
            CopiedAhead second = prepared.copyAhead();
            assertThat(second.pagesCopied()).isEqualTo(1);
            guest.write(8, 1000);
            try (CapturedSnapshot captured = prepared.capture(guest)) {
                assertThat(captured.memory().pagesOffered()).isEqualTo(1);
                assertThat(captured.copiedAhead().orElseThrow().rounds()).isEqualTo(2);
                captured.publish();
            }
            assertThatThrownBy(prepared::copyAhead).isInstanceOf(IllegalStateException.class);
        }
        assertIsThePause(NEXT);
    }

    @Test
    void withoutATrackerOrWithoutBeingAskedForItIsRefused() throws IOException {
        assertThatThrownBy(() -> Capture.of(store, NEXT, guest).copyAhead(CopyAhead.usual()).take(guest))
                .isInstanceOf(SnapshotException.class)
                .hasMessageContaining("only a dirty tracker").hasMessageContaining("leave out copyAhead");
        assertThat(guest.pauses).isZero();
        try (PreparedCapture prepared = capture().prepare()) {
            assertThatThrownBy(prepared::copyAhead).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("call Capture.copyAhead before prepare");
            prepared.capture(guest).close();
        }
        assertNothingLeft();
        assertThatThrownBy(() -> CopyAhead.usual().rounds(0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> CopyAhead.usual().enough(-1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> CopyAhead.usual().enough(Duration.ofNanos(-1)))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> CopyAhead.usual().bytesASecond(0)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void whatIsSaidAfterThePreparationIsForLaterCaptures() throws IOException {
        Path file = Files.writeString(directory.resolve("overlay"), "of the moment");
        Capture said = capture().label("run", "1");
        try (PreparedCapture prepared = said.prepare()) {
            said.label("run", "2").imageName("other").attach("overlay", file).checked().threads(2)
                    .copyAhead(CopyAhead.usual()).progress((done, total) -> {
                        throw new CancelledException("not for this one");
                    });
            assertThatThrownBy(prepared::copyAhead).isInstanceOf(IllegalStateException.class);
            try (CapturedSnapshot captured = prepared.capture(guest)) {
                assertThat(captured.publish().manifest().labels()).containsEntry("run", "1");
            }
        }
        assertThat(store.inspect(NEXT).imageName()).isEmpty();
        try (StoredSnapshot held = store.hold(NEXT)) {
            assertThat(held.manifest().files().toString()).doesNotContain("overlay");
        }
    }

    @Test
    void aTrackerThatFailsInARoundEndsTheCaptureBeforeThePause() throws IOException {
        capture().take(guest);
        store.delete(NEXT);
        capture().kind(CaptureKind.FULL).take(guest);
        int pauses = guest.pauses;
        guest.write(3, 77);
        SnapshotId later = new SnapshotId("later");
        assertThatThrownBy(() -> Capture.of(store, later, guest).tracker(tracker).copyAhead(then(
                () -> source.failNextHarvest(new IOException("the log is gone")), () -> { })).take(guest))
                .isInstanceOf(SnapshotException.class)
                .hasMessageContaining("copied ahead").hasMessageContaining("the log is gone");
        assertThat(guest.pauses).isEqualTo(pauses);
        assertStagingEmpty();
        assertThat(tracker.unknownBecause().orElseThrow()).contains("the log is gone");

        CaptureResult compared = Capture.of(store, later, guest).tracker(tracker).take(guest);
        assertThat(compared.because()).contains("compared", "the log is gone");
        assertThat(compared.memory().pagesRecorded()).isEqualTo(1);
        assertIsThePause(later);
    }

    @Test
    void aTrackerThatIsInvalidatedInARoundEndsTheCaptureBeforeThePause() throws IOException {
        assertThatThrownBy(() -> capture().copyAhead(then(
                () -> tracker.invalidate("a slot was moved"), () -> { })).take(guest))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("a slot was moved");
        assertThat(guest.pauses).isZero();
        assertNothingLeft();
    }

    /** Nothing is known of what was written since the last round, and what the rounds copied may be stale. */
    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.EXT4})
    void aTrackerThatFailsInThePauseCostsTimeAndNoPage(Path on, FileSystemKind fileSystem) throws IOException {
        for (CaptureKind kind : List.of(CaptureKind.FULL, CaptureKind.DIFF, CaptureKind.ONTO_BASE)) {
            if (kind == CaptureKind.ONTO_BASE && !fileSystem.reflinks()) {
                continue;
            }
            try (DirectoryStore own = DirectoryStore.openOrCreate(
                    Posix.host(), on.resolve(kind.name()), StoreOptions.PRIVATE)) {
                IntStream.range(0, PAGES).forEach(guest::discard);
                IntStream.range(0, PAGES / 2).forEach(page -> guest.write(page, page + 1));
                CaptureResult base = Capture.of(own, BASE, guest).tracker(tracker).kind(CaptureKind.FULL).take(guest);
                guest.writeRun(10, 60, 5);
                guest.writeRun(300, 60, 6);
                CaptureResult result = Capture.of(own, NEXT, guest).tracker(tracker).kind(kind).copyAhead(then(() -> {
                    guest.writeRun(20, 5, 8);
                    guest.write(65, 66);
                    guest.discardRun(40, 5);
                    guest.zeroRun(50, 5);
                    guest.discardRun(300, 40);
                    guest.write(100, 9);
                    source.failNextHarvest(new IOException("the ring was lapped"));
                })).take(guest);

                assertThat(result.because()).contains("examined again", "the ring was lapped");
                assertThat(result.memory().pagesDamagedInBase()).isZero();
                assertIsThePause(own, NEXT, kind.name());
                if (kind != CaptureKind.FULL) {
                    assertThat(own.inspect(NEXT).parent()).contains(base.reference());
                }
            }
        }
    }

    @Test
    void aCaptureThatIsGivenUpBetweenRoundsLeavesNothingAndGivesEveryRoundBack() throws IOException {
        capture().take(guest);
        SnapshotId later = new SnapshotId("later");
        guest.writeRun(3, 5, 77);
        int pauses = guest.pauses;
        CancelledException enough = new CancelledException("enough");
        assertThatThrownBy(() -> Capture.of(store, later, guest).tracker(tracker).copyAhead(ON_AND_ON.listener(
                (round, written) -> {
                    guest.writeRun(3 + round, 4 - round, 78);
                    if (round == 3) {
                        guest.write(20, 79);
                        throw enough;
                    }
                    return true;
                })).take(guest)).isSameAs(enough);
        assertThat(guest.pauses).isEqualTo(pauses);
        assertStagingEmpty();

        CaptureResult all = Capture.of(store, later, guest).tracker(tracker).take(guest);
        assertThat(all.memory().pagesOffered()).isEqualTo(6);
        assertIsThePause(later);
    }

    @Test
    void progressAndClosingGiveItUpToo() throws IOException {
        CancelledException enough = new CancelledException("enough");
        assertThatThrownBy(() -> capture().copyAhead(ON_AND_ON).progress((done, total) -> {
            throw enough;
        }).take(guest)).isSameAs(enough);
        assertNothingLeft();
        List<PreparedCapture> prepared = new ArrayList<>();
        List<MemoryWritten> rounds = new ArrayList<>();
        prepared.add(capture().copyAhead(ON_AND_ON.listener((round, written) -> {
            rounds.add(written);
            guest.write(4, 60 + round);
            prepared.getFirst().close();
            return true;
        })).prepare());
        assertThatThrownBy(prepared.getFirst()::copyAhead).isInstanceOf(CancelledException.class)
                .hasMessageContaining("was closed while");
        assertThat(rounds).as("nothing is copied once it was closed").hasSize(1);
        assertThat(guest.pauses).isZero();
        assertNothingLeft();
        tracker.claim().close();
    }

    @Test
    void aCaptureThatWasAbandonedThroughTheTrackerIsNeitherCopiedOnNorPaused() throws IOException {
        assertThatThrownBy(() -> capture().copyAhead(then(tracker::abandonCapture, () -> { })).take(guest))
                .isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> capture().copyAhead(then(tracker::abandonCapture)).take(guest))
                .isInstanceOf(IllegalStateException.class);
        assertThat(guest.pauses).isZero();
        assertNothingLeft();
    }

    @Test
    void aDiskThatFillsUpInARoundFailsTheCaptureBeforeThePause(@TinyFileSystem Path tiny) throws IOException {
        GuestLayout large = GuestLayout.ofSingleRegion(PAGE, 32 << 20);
        InMemoryPageReader memory = InMemoryPageReader.of(large);
        memory.bytes().fill((byte) 5);
        DirtyTracker marks = DirtyTracker.ofMarks(large);
        try (DirectoryStore full = DirectoryStore.openOrCreate(
                Posix.host(), tiny.resolve("store"), StoreOptions.PRIVATE)) {
            assertThatThrownBy(() -> Capture.of(full, NEXT, memory).tracker(marks).copyAhead(CopyAhead.usual())
                    .take(guest)).isInstanceOf(IOException.class).hasMessageContaining("ENOSPC");
            assertThat(guest.pauses).isZero();
            assertThat(full.list()).isEmpty();
            try (var staging = Files.list(tiny.resolve("store/.staging"))) {
                assertThat(staging).isEmpty();
            }
            marks.claim().close();
        }
    }

    /**
     * A page that a restore read in is compared with the image when it is harvested: what it was between two harvests
     * is not seen, but may have been copied.
     */
    @Test
    void aPageThatIsAsItWasAgainIsNotLeftAsItWasInBetween() throws IOException {
        Capture.of(store, BASE, guest).tracker(tracker).take(guest);
        guest.write(7, 4000);
        capture().kind(CaptureKind.DIFF).take(guest);
        try (RestoredSnapshot restored = Restore.of(store, NEXT).mostMappings(0).restore(RestoreEngine.LAZY)) {
            MemorySegment memory = restored.memory().mapping(0);
            int[] asked = {0};
            PageReader meddling = new Meddling(restored.memory().reader(), () -> {
                if (asked[0]++ == 0) {
                    memory.set(ValueLayout.JAVA_INT, 7L * PAGE, 5000);
                }
            });
            SnapshotId later = new SnapshotId("later");
            Capture.of(store, later, meddling).tracker(restored.tracker()).kind(CaptureKind.FULL)
                    .copyAhead(ON_AND_ON.listener((round, written) -> {
                        memory.set(ValueLayout.JAVA_INT, 7L * PAGE, 4000);
                        return false;
                    })).take(PausableMachine.pausedAlready(List.of()));
            assertThat(asked[0]).isPositive();
            assertThat(pageOf(later, 7)).isEqualTo(4000);
        }
    }

    /** Documented: writes that the tracker is blind to must be marked; a checked capture names the page. */
    @Test
    void whatTheHostWritesUnmarkedAfterItsPageWasCopiedIsLostAndMarkedItIsNot() throws IOException {
        capture().copyAhead(then(() -> guest.writeUnseen(7, 1000), () -> { })).take(guest);
        assertThat(pageOf(NEXT, 7)).as("as the first round found it").isEqualTo(8);
        store.delete(NEXT);

        assertThatThrownBy(() -> capture().kind(CaptureKind.FULL).copyAhead(
                then(() -> guest.writeUnseen(7, 1001), () -> { })).checked().take(guest))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("image offset " + 7 * PAGE)
                .hasMessageContaining("neither seen nor marked");

        capture().kind(CaptureKind.FULL).copyAhead(then(() -> {
            guest.writeUnseen(7, 1002);
            tracker.markWritten(7 * PAGE, PAGE);
        }, () -> { })).checked().take(guest);
        assertThat(pageOf(NEXT, 7)).isEqualTo(1002);
    }

    /** A lower bound alone: whatever else the machine does makes it take longer. */
    @Test
    void theRoundsKeepToTheRateAndThePauseDoesNot() throws IOException {
        long start = System.nanoTime();
        CopyAhead slow = then(() -> guest.write(7, 1000)).bytesASecond(20L << 20);
        CopiedAhead ahead = capture().copyAhead(slow).take(guest).copiedAhead().orElseThrow();
        long expected = (long) (1e9 * (PAGES / 2) * PAGE / (20 << 20));
        assertThat(System.nanoTime() - start).isGreaterThanOrEqualTo(expected);
        assertThat(ahead.time()).isGreaterThanOrEqualTo(Duration.ofNanos(expected));
        assertThat(rounds.getFirst().time()).as("net of waiting").isLessThan(ahead.time());
        assertIsThePause(NEXT);
    }

    private int pageOf(SnapshotId id, int page) throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, id).restore(RestoreEngine.EAGER)) {
            return restored.memory().mapping(0).get(ValueLayout.JAVA_INT, (long) page * PAGE);
        }
    }

    private void assertNothingLeft() throws IOException {
        assertThat(store.list()).isEmpty();
        assertStagingEmpty();
    }

    private void assertStagingEmpty() throws IOException {
        try (var staging = Files.list(directory.resolve("store/.staging"))) {
            assertThat(staging).isEmpty();
        }
    }

    private void assertIsThePause(SnapshotId id) throws IOException {
        assertIsThePause(store, id, id.name());
    }

    private void assertIsThePause(DirectoryStore from, SnapshotId id, String what) throws IOException {
        for (RestoreEngine engine : List.of(RestoreEngine.EAGER, RestoreEngine.LAZY)) {
            try (RestoredSnapshot restored = Restore.of(from, id).restore(engine)) {
                assertThat(restored.memory().mapping(0).mismatch(guest.atThePause)).as(what + ", " + engine)
                        .isEqualTo(-1);
            }
        }
        try (StoredSnapshot held = from.hold(id)) {
            assertThat(Verification.of(held, 2, Progress.NONE).isWhole()).as(what).isTrue();
        }
    }

    /** Does something before it says what is populated: after a harvest, and before the first copy. */
    private record Meddling(PageReader reader, Runnable meddle) implements PageReader {
        @Override
        public GuestLayout layout() {
            return reader.layout();
        }

        @Override
        public MemorySegment view(long imageOffset, long lengthBytes) {
            return reader.view(imageOffset, lengthBytes);
        }

        @Override
        public void read(long imageOffset, MemorySegment destination) throws IOException {
            reader.read(imageOffset, destination);
        }

        @Override
        public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
            meddle.run();
            reader.populated(imageOffset, lengthBytes, ranges);
        }

        @Override
        public boolean mayBeTruncated() {
            return reader.mayBeTruncated();
        }
    }

    /** Memory of which pages are populated when they are written, and no longer when they are discarded. */
    private final class Guest implements PageReader, PausableMachine {
        private final InMemoryPageReader memory = InMemoryPageReader.of(LAYOUT);
        private final BitSet populated = new BitSet();
        private final SparseReader sparse = new SparseReader(memory, populated, true);
        private MemorySegment atThePause;
        private int pauses;

        void write(int page, int value) {
            writeUnseen(page, value);
            source.guestWrites((long) page * PAGE, PAGE);
        }

        void writeUnseen(int page, int value) {
            populated.set(page);
            memory.bytes().asSlice((long) page * PAGE, PAGE).fill((byte) 1);
            memory.bytes().set(ValueLayout.JAVA_INT, (long) page * PAGE, value);
        }

        void writeRun(int first, int count, int value) {
            IntStream.range(first, first + count).forEach(page -> write(page, value * PAGES + page));
        }

        void zeroRun(int first, int count) {
            IntStream.range(first, first + count).forEach(page -> {
                write(page, 0);
                memory.bytes().asSlice((long) page * PAGE, PAGE).fill((byte) 0);
            });
        }

        void discard(int page) {
            memory.bytes().asSlice((long) page * PAGE, PAGE).fill((byte) 0);
            populated.clear(page);
            tracker.markDiscarded((long) page * PAGE, PAGE);
        }

        void discardRun(int first, int count) {
            IntStream.range(first, first + count).forEach(this::discard);
        }

        @Override
        public GuestLayout layout() {
            return LAYOUT;
        }

        @Override
        public MemorySegment view(long imageOffset, long lengthBytes) {
            return sparse.view(imageOffset, lengthBytes);
        }

        @Override
        public void read(long imageOffset, MemorySegment destination) throws IOException {
            sparse.read(imageOffset, destination);
        }

        @Override
        public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges)
                throws IOException {
            sparse.populated(imageOffset, lengthBytes, ranges);
        }

        @Override
        public boolean mayBeTruncated() {
            return false;
        }

        @Override
        public void pause() {
            pauses++;
        }

        @Override
        public List<MachineStateSection> saveState() {
            atThePause = MemorySegment.ofArray(memory.bytes().toArray(ValueLayout.JAVA_BYTE));
            return List.of();
        }

        @Override
        public void resume() {
            // Nothing runs by itself.
        }
    }
}
