package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Progress;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Advice;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Uninterrupted;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Four threads that write memory at full speed, seen by a page-map scan, while it is copied ahead. */
@EnabledOnOs(OS.LINUX)
final class CopyAheadThreadsTest {
    private static final int PAGE = Posix.host().getpagesize();
    private static final GuestLayout LAYOUT = GuestLayout.of(PAGE,
            List.of(new Region(0, 3000L * PAGE), new Region(1L << 32, 1077L * PAGE)));
    private static final int THREADS = 4;
    private static final List<CaptureKind> KINDS =
            List.of(CaptureKind.FULL, CaptureKind.DIFF, CaptureKind.ONTO_BASE);

    @RealFileSystems(FileSystemKind.XFS)
    void theImageIsTheMemoryAtThePauseByteForByte(Path on, Seed seed) throws Exception {
        SplittableRandom random = seed.random();
        int guests = Effort.choose(1, 1, 50);
        for (int number = 0; number < guests; number++) {
            boolean shared = random.nextBoolean();
            try (DirectoryStore store = DirectoryStore.openOrCreate(
                    Posix.host(), on.resolve("store-" + number), StoreOptions.PRIVATE);
                    WrittenGuest guest = new WrittenGuest(shared, random.split())) {
                CaptureKind before = CaptureKind.DIFF;
                for (int generation = 0; generation < 5; generation++) {
                    SnapshotId id = new SnapshotId("g" + generation);
                    CaptureKind kind = generation == 0 ? CaptureKind.FULL : KINDS.get(random.nextInt(KINDS.size()));
                    if (before == CaptureKind.DIFF && kind == CaptureKind.ONTO_BASE) {
                        // Only a complete image can be cloned.
                        kind = CaptureKind.FULL;
                    }
                    before = kind;
                    if (random.nextInt(6) == 0) {
                        guest.tracker.invalidate("a test says so");
                    }
                    CopyAhead options = CopyAhead.usual().rounds(random.nextInt(1, 6)).enough(0)
                            .enough(Duration.ZERO);
                    CaptureResult result = Capture.of(store, id, guest.ram.reader())
                            .tracker(guest.tracker).kind(kind).threads(random.nextInt(1, 3)).copyAhead(options)
                            .take(guest);
                    assertThat(result.kind()).isEqualTo(kind);
                    assertIsThePause(store, id, guest);
                }
            }
        }
    }

    private static void assertIsThePause(DirectoryStore store, SnapshotId id, WrittenGuest guest)
            throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, id).restore(RestoreEngine.EAGER)) {
            for (int region = 0; region < LAYOUT.regions().size(); region++) {
                MemorySegment memory = restored.memory().mapping(region);
                assertThat(memory.mismatch(guest.atThePause.asSlice(LAYOUT.imageOffset(region), memory.byteSize())))
                        .as(id + ", region " + region).isEqualTo(-1);
            }
        }
        try (StoredSnapshot held = store.hold(id)) {
            assertThat(Verification.of(held, 1, Progress.NONE).isWhole()).as(id.name()).isTrue();
        }
    }

    /** Memory, and the threads that write it unless it is paused. */
    private static final class WrittenGuest implements PausableMachine, AutoCloseable {
        private final Mapping image;
        private final GuestRam ram;
        private final DirtyTracker tracker;
        private final ReadWriteLock running = new ReentrantReadWriteLock(true);
        private final List<Thread> threads = new ArrayList<>();
        private volatile boolean over;
        private MemorySegment atThePause;

        WrittenGuest(boolean shared, SplittableRandom random) throws IOException {
            image = shared ? Mapping.memfd(Posix.host(), "guest", LAYOUT.lengthBytes(), HugePages.NONE)
                    : Mapping.anonymous(Posix.host(), LAYOUT.lengthBytes(), HugePages.NONE);
            ram = GuestRam.of(LAYOUT, image);
            tracker = DirtyTracker.of(LAYOUT, DirtySource.ofPageMap(ram));
            for (int number = 0; number < THREADS; number++) {
                SplittableRandom own = random.split();
                boolean discards = number == 0 && !shared;
                threads.add(Thread.ofPlatform().daemon().start(() -> writeUntilOver(own, discards)));
            }
        }

        private void writeUntilOver(SplittableRandom random, boolean discards) {
            while (!over) {
                running.readLock().lock();
                try {
                    for (int write = 0; write < 200; write++) {
                        write(random);
                    }
                    if (discards) {
                        discard(random);
                    }
                } finally {
                    running.readLock().unlock();
                }
            }
        }

        private void write(SplittableRandom random) {
            long page = random.nextLong(LAYOUT.pageCount()) * PAGE;
            switch (random.nextInt(4)) {
                case 0 -> image.segment().asSlice(page, PAGE).fill((byte) 0);
                case 1 -> image.segment().asSlice(page, PAGE).fill((byte) random.nextInt());
                default -> image.segment().set(ValueLayout.JAVA_LONG,
                        page + random.nextInt(PAGE / Long.BYTES) * (long) Long.BYTES, random.nextLong());
            }
        }

        private void discard(SplittableRandom random) {
            long page = random.nextLong(LAYOUT.pageCount() - 8) * PAGE;
            try {
                image.advise(page, 8L * PAGE, Advice.DISCARD);
            } catch (IOException failure) {
                throw new UncheckedIOException(failure);
            }
            tracker.markDiscarded(page, 8L * PAGE);
        }

        @Override
        public void pause() {
            running.writeLock().lock();
            atThePause = MemorySegment.ofArray(image.segment().toArray(ValueLayout.JAVA_BYTE));
        }

        @Override
        public List<MachineStateSection> saveState() {
            return List.of();
        }

        @Override
        public void resume() {
            running.writeLock().unlock();
        }

        @Override
        public void close() throws IOException {
            over = true;
            threads.forEach(thread -> Uninterrupted.await(thread::join));
            tracker.close();
            ram.close();
        }
    }
}
