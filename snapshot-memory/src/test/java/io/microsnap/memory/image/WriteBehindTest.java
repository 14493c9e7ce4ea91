package io.microsnap.memory.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.CancelledException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.Region;
import io.microsnap.core.file.GuestRam;
import io.microsnap.core.file.HugePages;
import io.microsnap.core.posix.Descriptor;
import io.microsnap.core.posix.Errno;
import io.microsnap.core.posix.Posix;
import io.microsnap.core.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.memory.reader.GuestMemoryReader;
import io.microsnap.memory.reader.InMemoryPageReader;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class WriteBehindTest {
    private static final int PAGE = 4096;
    private static final int BATCH_RANGES = 128;
    private static final int BATCHES = 8;
    private static final long BUSY_NANOS = 100_000_000;

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
            try (WriteBehind behind = new WriteBehind(image, new GuestMemoryReader(ram))) {
                WriteBehind.Feed one = behind.feed();
                WriteBehind.Feed other = behind.feed();
                one.write(8 * PAGE, 2 * PAGE);
                one.write(2 * PAGE, PAGE);
                other.write(0, PAGE);
                other.flush();
                one.write(4 * PAGE, 3 * PAGE);
                one.flush();
                behind.finish();
            }
            byte[] expected = new byte[10 * PAGE];
            fill(expected, 0, 1, 1);
            fill(expected, 2, 3, 1);
            fill(expected, 4, 7, 2);
            fill(expected, 8, 10, 3);
            assertThat(directory.resolve("image")).hasBinaryContent(expected);
        }
    }

    @Test
    void whoeverLooksWaitsWhileTooMuchIsUnwritten() throws Exception {
        InMemoryPageReader guest = guest(2 * BATCHES * BATCH_RANGES);
        CountDownLatch mayWrite = new CountDownLatch(1);
        watched.before(call -> {
            if (call.name().equals("pwrite")) {
                await(mayWrite);
            }
        });
        AtomicInteger handed = new AtomicInteger();
        try (Descriptor image = image(); WriteBehind behind = new WriteBehind(image, guest)) {
            Thread looking = Thread.ofPlatform().start(() -> {
                WriteBehind.Feed feed = behind.feed();
                try {
                    for (int page = 0; page < 2 * BATCHES * BATCH_RANGES; page++) {
                        feed.write((long) page * PAGE, PAGE);
                        handed.incrementAndGet();
                    }
                } catch (IOException unexpected) {
                    throw new AssertionError(unexpected);
                }
            });
            while (looking.getState() != Thread.State.WAITING) {
                Thread.onSpinWait();
            }
            assertThat(handed).hasValue(BATCHES * BATCH_RANGES);
            mayWrite.countDown();
            looking.join();
            behind.finish();
        }
        assertThat(directory.resolve("image")).hasBinaryContent(guest.bytes().toArray(ValueLayout.JAVA_BYTE));
    }

    @Test
    void whatKeepsItFromWritingIsWhatTheCallerGetsAndEverybodyStops() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 4 * Lanes.CHUNK_BYTES);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        DirtyBitmap dirty = DirtyBitmap.of(layout);
        for (long page = 0; page < layout.pageCount(); page += 8) {
            dirty.set(page * PAGE);
            guest.bytes().set(ValueLayout.JAVA_BYTE, page * PAGE, (byte) 1);
        }
        for (int failing : new int[] {700, (int) dirty.count()}) {
            for (int lanes = 2; lanes <= 4; lanes++) {
                FaultyPosix full = FaultyPosix.host();
                full.at("pwrite", failing).andLater().fails(Errno.ENOSPC);
                try (Descriptor image = image(full.posix())) {
                    image.truncate(layout.lengthBytes());
                    int most = lanes;
                    assertThatThrownBy(() -> ImageWriter.into(image, layout).lanes(most).startingAsZeros()
                            .dirty(guest, dirty)).isInstanceOf(SystemCallException.class)
                            .hasMessageContaining("ENOSPC").hasNoSuppressedExceptions();
                    assertThat(full.calls("pwrite")).as("nobody tries again").isEqualTo(failing);
                }
                assertThat(threads()).isZero();
            }
        }
    }

    @Test
    void whatIsNotWrittenWhenItIsClosedWillNotBe() throws Exception {
        InMemoryPageReader guest = guest(3 * BATCH_RANGES);
        CountDownLatch writing = new CountDownLatch(1);
        CountDownLatch mayWrite = new CountDownLatch(1);
        watched.before(call -> {
            if (call.name().equals("pwrite")) {
                writing.countDown();
                await(mayWrite);
            }
        });
        try (Descriptor image = image()) {
            WriteBehind behind = new WriteBehind(image, guest);
            WriteBehind.Feed feed = behind.feed();
            for (int page = 0; page < 3 * BATCH_RANGES; page++) {
                feed.write((long) page * PAGE, PAGE);
            }
            writing.await();
            Thread closing = Thread.ofPlatform().start(behind::close);
            while (closing.getState() != Thread.State.WAITING) {
                Thread.onSpinWait();
            }
            mayWrite.countDown();
            closing.join();
            assertThat(watched.calls("pwrite")).as("the one that was under way").isEqualTo(1);
            assertThat(threads()).isZero();
        }
    }

    @Test
    void whenItIsCancelledNothingIsWrittenAnyMore() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 2 * Lanes.CHUNK_BYTES);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        guest.bytes().fill((byte) 1);
        try (Descriptor image = image()) {
            assertThatThrownBy(() -> ImageWriter.into(image, layout).lanes(2).progress((done, total) -> {
                throw new CancelledException("enough");
            }).startingAsZeros().everything(guest)).isInstanceOf(CancelledException.class);
            assertThat(threads()).isZero();
            assertThat(image.sizeBytes()).isLessThanOrEqualTo(Lanes.CHUNK_BYTES);
        }
    }

    @Test
    void waitingForSomethingToWriteIsNoThrottling() throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 2 * Lanes.CHUNK_BYTES);
        InMemoryPageReader guest = InMemoryPageReader.of(layout);
        guest.bytes().asSlice(0, PAGE).fill((byte) 1);
        AtomicLong busyNanos = new AtomicLong();
        PageReader slow = new PageReader() {
            @Override
            public GuestLayout layout() {
                return layout;
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
                if (imageOffset == 0) {
                    while (!isWriterWaiting()) {
                        Thread.onSpinWait();
                    }
                    long start = System.nanoTime();
                    while (System.nanoTime() - start < BUSY_NANOS) {
                        Thread.onSpinWait();
                    }
                    busyNanos.set(System.nanoTime() - start);
                    ranges.accept(0, PAGE);
                }
            }

            @Override
            public boolean mayBeTruncated() {
                return false;
            }
        };
        try (Descriptor image = image()) {
            MemoryWritten written = ImageWriter.into(image, layout).lanes(2).startingAsZeros().everything(slow);
            assertThat(written.bytesWritten()).isEqualTo(PAGE);
            assertThat(written.stalled().toNanos())
                    .isLessThanOrEqualTo(written.time().toNanos() - busyNanos.get());
        }
    }

    private static boolean isWriterWaiting() {
        return Thread.getAllStackTraces().keySet().stream().anyMatch(thread ->
                thread.getName().equals("microsnap-write") && thread.getState() == Thread.State.WAITING);
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
        return image(watched.posix());
    }

    private Descriptor image(Posix posix) throws IOException {
        return Descriptor.open(posix, directory.resolve("image"),
                posix.constants().O_RDWR | posix.constants().O_CREAT | posix.constants().O_TRUNC, 0600);
    }
}
