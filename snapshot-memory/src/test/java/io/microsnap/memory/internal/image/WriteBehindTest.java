package io.microsnap.memory.internal.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.CancelledException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.Region;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.internal.work.Workers;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class WriteBehindTest {
    private static final int PAGE = 4096;
    private static final int BATCH_RANGES = 128;
    private static final int BATCHES = 16;
    /** The first is not held back. */
    private static final int MOST_HANDED_OVER = 1 + (BATCHES - 1) * BATCH_RANGES;
    private static final long LOOKED_AT_BY_THE_WRITER = 8L << 20;
    private static final WriteBehind.Looked NOTHING = () -> { };

    private final FaultyPosix watched = FaultyPosix.host();

    @TempDir
    private Path directory;

    @Test
    void memoryInSeveralPiecesIsWrittenWhateverTheOrder() throws IOException {
        GuestLayout layout = GuestLayout.of(PAGE, List.of(new Region(0, 3 * PAGE), new Region(1 << 20, 5 * PAGE),
                new Region(1L << 32, 2 * PAGE)));
        try (GuestRam ram = GuestRam.anonymous(watched.posix(), layout, HugePages.NONE); Descriptor image = image()) {
            for (int region = 0; region < 3; region++) {
                ram.mapping(region).fill((byte) (region + 1));
            }
            WriteBehind behind = new WriteBehind(
                    new Sink.Image(image), ram.reader(), NOTHING);
            WriteBehind.Feed one = behind.feed();
            WriteBehind.Feed other = behind.feed();
            one.write(2 * PAGE, PAGE);
            one.write(8 * PAGE, 2 * PAGE);
            other.write(0, PAGE);
            other.flush();
            behind.writeWhatIsThere();
            assertThat(image.sizeBytes()).as("what is held back is not there").isEqualTo(3 * PAGE);
            one.write(4 * PAGE, 3 * PAGE);
            one.finish();
            other.finish();
            behind.writeToTheEnd();
            byte[] expected = new byte[10 * PAGE];
            fill(expected, 0, 1, 1);
            fill(expected, 2, 3, 1);
            fill(expected, 4, 7, 2);
            fill(expected, 8, 10, 3);
            assertThat(directory.resolve("image")).hasBinaryContent(expected);
        }
    }

    @Test
    void nothingIsHeldBackWhileNothingElseIsToBeWritten() throws IOException {
        InMemoryPageReader guest = guest(4);
        try (Descriptor image = image()) {
            WriteBehind behind = new WriteBehind(new Sink.Image(image), guest, NOTHING);
            WriteBehind.Feed feed = behind.feed();
            feed.write(0, PAGE);
            feed.write(PAGE, PAGE);
            feed.endChunk();
            behind.writeWhatIsThere();
            assertThat(image.sizeBytes()).as("the first is to be written, the second waits").isEqualTo(PAGE);
            feed.endChunk();
            behind.writeWhatIsThere();
            assertThat(image.sizeBytes()).isEqualTo(2 * PAGE);
            feed.write(2 * PAGE, PAGE);
            behind.writeWhatIsThere();
            assertThat(image.sizeBytes()).isEqualTo(3 * PAGE);
        }
    }

    @Test
    void aLookingWorkerWaitsWhileTooMuchIsUnwritten() throws Exception {
        InMemoryPageReader guest = guest(2 * BATCHES * BATCH_RANGES);
        AtomicInteger handed = new AtomicInteger();
        try (Descriptor image = image()) {
            WriteBehind behind = new WriteBehind(new Sink.Image(image), guest, NOTHING);
            WriteBehind.Feed feed = behind.feed();
            Thread looking = looking(feed, 2 * BATCHES * BATCH_RANGES, handed);
            awaitWaiting(looking);
            assertThat(handed).hasValue(MOST_HANDED_OVER);
            behind.writeToTheEnd();
            looking.join();
        }
        assertThat(directory.resolve("image")).hasBinaryContent(guest.bytes().toArray(ValueLayout.JAVA_BYTE));
    }

    @Test
    void aWorkerThatWaitsForRoomLearnsThatItWasAbandoned() throws Exception {
        InMemoryPageReader guest = guest(2 * BATCHES * BATCH_RANGES);
        AtomicInteger handed = new AtomicInteger();
        IOException failure = new IOException("somebody else failed");
        try (Descriptor image = image()) {
            WriteBehind behind = new WriteBehind(new Sink.Image(image), guest, NOTHING);
            Thread looking = looking(behind.feed(), 2 * BATCHES * BATCH_RANGES, handed);
            awaitWaiting(looking);
            behind.abandon(failure);
            behind.abandon(new IOException("so did I"));
            looking.join();
            assertThat(handed).as("no more than there was room for").hasValue(MOST_HANDED_OVER);
            assertThatThrownBy(behind::writeToTheEnd).isSameAs(failure);
            assertThat(watched.calls("pwrite")).isZero();
        }
    }

    @Test
    void whatKeepsItFromWritingIsWhatTheCallerGetsAndEverybodyStops() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 4 * ChunkedWork.CHUNK_BYTES);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        DirtyBitmap dirty = DirtyBitmap.of(layout);
        for (long page = 0; page < layout.pageCount(); page += 8) {
            dirty.set(page * PAGE);
            guest.bytes().set(ValueLayout.JAVA_BYTE, page * PAGE, (byte) 1);
        }
        for (int failing : new int[] {700, (int) dirty.count()}) {
            for (int threads = 2; threads <= 4; threads++) {
                FaultyPosix full = FaultyPosix.host();
                full.at("pwrite", failing).andLater().fails(Errno.ENOSPC);
                try (Descriptor image = image(full.posix())) {
                    image.truncate(layout.lengthBytes());
                    int most = threads;
                    assertThatThrownBy(() -> MemoryWriter.into(image, layout).threads(most).startingAsZeros()
                            .dirty(guest, dirty)).isInstanceOf(SystemCallException.class)
                            .hasMessageContaining("ENOSPC").hasNoSuppressedExceptions();
                    assertThat(full.calls("pwrite")).as("nobody tries again").isEqualTo(failing);
                }
                assertThat(threads()).isZero();
            }
        }
    }

    @Test
    void whereLookingFailsNothingIsWrittenAnyMore() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 4 * ChunkedWork.CHUNK_BYTES);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        guest.bytes().fill((byte) 1);
        IOException failure = new IOException("the page map cannot be read");
        Thread caller = Thread.currentThread();
        AtomicReference<Thread> helper = new AtomicReference<>();
        PageReader failing = viewed(guest, (offset, lengthBytes, ranges) -> {
            if (Thread.currentThread() == caller) {
                // Until the other has not only failed but said so: before that the caller may look at more.
                awaitIdle(helper);
                ranges.accept(offset, lengthBytes);
            } else {
                helper.set(Thread.currentThread());
                throw failure;
            }
        });
        try (Descriptor image = image()) {
            assertThatThrownBy(() -> MemoryWriter.into(image, layout).threads(2).startingAsZeros().everything(failing))
                    .isSameAs(failure).hasNoSuppressedExceptions();
            assertThat(threads()).isZero();
            assertThat(image.sizeBytes()).isLessThanOrEqualTo(ChunkedWork.CHUNK_BYTES + LOOKED_AT_BY_THE_WRITER);
        }
    }

    /** It waits for what the other hands over, and the other has nothing more to hand over. */
    @Test
    void whereLookingFailsTheCallerIsNotLeftWaiting() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 2 * ChunkedWork.CHUNK_BYTES);
        IOException failure = new IOException("the page map cannot be read");
        Thread caller = Thread.currentThread();
        AtomicBoolean helping = new AtomicBoolean();
        PageReader failing = viewed(InMemoryPageReader.of(layout), (offset, lengthBytes, ranges) -> {
            if (Thread.currentThread() == caller) {
                // Awake, for the other must not take this for waiting.
                while (!helping.get()) {
                    Thread.onSpinWait();
                }
            } else {
                helping.set(true);
                awaitWaiting(caller);
                throw failure;
            }
        });
        try (Descriptor image = image()) {
            assertThatThrownBy(() -> MemoryWriter.into(image, layout).threads(2).startingAsZeros().everything(failing))
                    .isSameAs(failure).hasNoSuppressedExceptions();
        }
        assertThat(threads()).isZero();
    }

    @Test
    void whatIsUnderWayWhenItIsAbandonedIsTheLast() throws Exception {
        InMemoryPageReader guest = guest(3 * BATCH_RANGES);
        CountDownLatch writing = new CountDownLatch(1);
        CountDownLatch mayWrite = new CountDownLatch(1);
        watched.before(call -> {
            if (call.name().equals("pwrite")) {
                writing.countDown();
                await(mayWrite);
            }
        });
        IOException failure = new IOException("somebody else failed");
        try (Descriptor image = image()) {
            WriteBehind behind = new WriteBehind(new Sink.Image(image), guest, NOTHING);
            WriteBehind.Feed feed = behind.feed();
            for (int page = 0; page < 3 * BATCH_RANGES; page++) {
                feed.write((long) page * PAGE, PAGE);
            }
            Thread other = Thread.ofPlatform().start(() -> {
                await(writing);
                behind.abandon(failure);
                mayWrite.countDown();
            });
            assertThatThrownBy(behind::writeToTheEnd).isSameAs(failure);
            other.join();
            assertThat(watched.calls("pwrite")).isEqualTo(1);
        }
    }

    @Test
    void whenItIsCancelledNothingIsWrittenAnyMore() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 4 * ChunkedWork.CHUNK_BYTES);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        guest.bytes().fill((byte) 1);
        try (Descriptor image = image()) {
            assertThatThrownBy(() -> MemoryWriter.into(image, layout).threads(2).progress((done, total) -> {
                throw new CancelledException("enough");
            }).startingAsZeros().everything(guest)).isInstanceOf(CancelledException.class);
            assertThat(threads()).isZero();
            assertThat(image.sizeBytes()).isLessThanOrEqualTo(ChunkedWork.CHUNK_BYTES + LOOKED_AT_BY_THE_WRITER);
        }
    }

    /** One that finished them earlier would leave out what the last one has yet to look at. */
    @Test
    void theLastLookingWorkerFinishesTheIndexAndTheMap() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 2 * ChunkedWork.CHUNK_BYTES);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        guest.bytes().fill((byte) 1);
        Thread caller = Thread.currentThread();
        AtomicReference<Thread> helper = new AtomicReference<>();
        PageReader reader = viewed(guest, (offset, lengthBytes, ranges) -> {
            if (Thread.currentThread() != caller) {
                helper.set(Thread.currentThread());
            } else {
                // Until the other has ended, for nothing is left to look at, nor does it wait for room.
                awaitIdle(helper);
            }
            ranges.accept(offset, PAGE);
        });
        try (Descriptor image = image(); Descriptor indexFile = file("index"); Descriptor mapFile = file("map");
                PageIndex index = PageIndex.create(indexFile, layout); PageMap map = PageMap.create(mapFile, layout);
                Workers workers = Workers.started("test", 1)) {
            MemoryWriter.into(image, layout).index(index).map(map).workers(workers).startingAsZeros()
                    .everything(reader);
            int writes = watched.calls("pwrite");
            index.finish();
            map.finish();
            assertThat(watched.calls("pwrite")).as("both were finished").isEqualTo(writes);
            assertThat(index.isZero(0)).isFalse();
        }
    }

    /** Until that worker's thread has left its work. */
    private static void awaitIdle(AtomicReference<Thread> worker) {
        while (worker.get() == null || !isIdle(worker.get())) {
            Thread.onSpinWait();
        }
    }

    private static boolean isIdle(Thread worker) {
        return worker.getState() == Thread.State.WAITING && Arrays.stream(worker.getStackTrace())
                .anyMatch(frame -> frame.getMethodName().equals("getTask"));
    }

    /** What is populated, as a test has it. */
    @FunctionalInterface
    private interface Populated {
        void tell(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException;
    }

    private static PageReader viewed(InMemoryPageReader guest, Populated populated) {
        return new PageReader() {
            @Override
            public GuestLayout layout() {
                return guest.layout();
            }

            @Override
            public MemorySegment view(long imageOffset, long lengthBytes) {
                return guest.view(imageOffset, lengthBytes);
            }

            @Override
            public void read(long imageOffset, MemorySegment destination) {
                throw new AssertionError("there is a view");
            }

            @Override
            public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
                populated.tell(imageOffset, lengthBytes, ranges);
            }

            @Override
            public boolean mayBeTruncated() {
                return false;
            }
        };
    }

    /** Hands over page after page and counts them, until there are no more or somebody has failed. */
    private static Thread looking(WriteBehind.Feed feed, int pages, AtomicInteger handed) {
        return Thread.ofPlatform().start(() -> {
            try {
                for (int page = 0; page < pages; page++) {
                    feed.write((long) page * PAGE, PAGE);
                    handed.incrementAndGet();
                }
                feed.finish();
            } catch (IOException abandoned) {
                // Its maker knows why.
            }
        });
    }

    private static void awaitWaiting(Thread thread) {
        while (thread.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
    }

    private static long threads() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("microsnap-")).count();
    }

    private static InMemoryPageReader guest(int pages) {
        InMemoryPageReader guest = InMemoryPageReader.of(GuestLayout.ofSingleRegion(PAGE, (long) pages * PAGE));
        for (int page = 0; page < pages; page++) {
            guest.bytes().asSlice((long) page * PAGE, PAGE).fill((byte) page);
        }
        return guest;
    }

    private static void fill(byte[] bytes, int firstPage, int endPage, int value) {
        Arrays.fill(bytes, firstPage * PAGE, endPage * PAGE, (byte) value);
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException unexpected) {
            throw new AssertionError(unexpected);
        }
    }

    private Descriptor image() throws IOException {
        return file("image");
    }

    private Descriptor image(Posix posix) throws IOException {
        return file(posix, "image");
    }

    private Descriptor file(String name) throws IOException {
        return file(watched.posix(), name);
    }

    private Descriptor file(Posix posix, String name) throws IOException {
        return Descriptor.open(posix, directory.resolve(name),
                posix.constants().O_RDWR | posix.constants().O_CREAT | posix.constants().O_TRUNC, 0600);
    }
}
