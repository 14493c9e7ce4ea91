package io.microsnap.memory.misuse;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotId;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.SourceOwnership;
import io.microsnap.dirty.WritePath;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CapturedSnapshot;
import io.microsnap.memory.PreparedCapture;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A guest of a few pages to which something can happen in every call that the library makes. It remembers its memory at
 * each pause, and what must not have happened. Its calls allocate nothing of their own.
 */
final class TroubledGuest implements PausableMachine, PageReader, AutoCloseable {
    private static final int PAGE = 4096;
    private static final int PAGES = 40;

    private final GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, (long) PAGES * PAGE);
    private final Arena arena = Arena.ofShared();
    private final MemorySegment bytes = arena.allocate(layout.lengthBytes(), PAGE);
    private final List<MachineStateSection> state =
            List.of(new MachineStateSection("registers", ByteBuffer.wrap(new byte[100])));
    private final boolean viewed;
    private final Log log;
    private final DirtyTracker tracker;
    private final String name;
    private final Map<Thread, Attempt> capturing = new ConcurrentHashMap<>();
    private final Map<SnapshotId, MemorySegment> published = new LinkedHashMap<>();
    private volatile Trouble trouble = Trouble.NONE;
    private volatile String breach = "";
    private boolean paused;
    private int pauses;
    private int resumes;
    private int captures;

    TroubledGuest(SplittableRandom random) {
        viewed = random.nextBoolean();
        name = "guest-" + Long.toHexString(random.nextLong());
        log = new Log(DirtyBitmap.of(layout, random.nextBoolean() ? PAGE : 4 * PAGE));
        tracker = DirtyTracker.of(layout, log);
        write(random);
    }

    DirtyTracker tracker() {
        return tracker;
    }

    /** The name of a further snapshot. */
    synchronized SnapshotId nextId() {
        return new SnapshotId(name + "-" + captures++);
    }

    /** What vCPUs do: they write, and the log sees it. Not while they are paused. */
    void write(SplittableRandom random) {
        synchronized (bytes) {
            if (paused) {
                return;
            }
            for (int writes = random.nextInt(1, 4); writes > 0; writes--) {
                long page = random.nextLong(PAGES);
                bytes.set(ValueLayout.JAVA_LONG, page * PAGE, random.nextLong());
                log.wrote(page * PAGE);
            }
        }
    }

    /** From now on this may happen; what happened until now is over. */
    void expect(Trouble next) {
        trouble = next;
    }

    /** What came of a capture: what was thrown, and whether the machine was paused for it. */
    record Outcome(Optional<Throwable> failure, boolean paused) {
    }

    /** Takes a capture, whatever comes of it. It remembers what it published. */
    Outcome take(SnapshotId id, Capture plan) {
        Attempt attempt = new Attempt();
        try {
            capturing.put(Thread.currentThread(), attempt);
            plan.take(this);
            publish(id, attempt.atPause);
            return new Outcome(Optional.empty(), attempt.paused);
        } catch (Throwable failure) {
            return new Outcome(Optional.of(failure), attempt.paused);
        } finally {
            capturing.remove(Thread.currentThread());
        }
    }

    /** A captured snapshot, and the memory at its pause. */
    record Captured(SnapshotId id, CapturedSnapshot snapshot, MemorySegment atPause) {
    }

    /** The first half of it. */
    Captured capture(SnapshotId id, PreparedCapture prepared) throws IOException {
        Attempt attempt = new Attempt();
        capturing.put(Thread.currentThread(), attempt);
        try {
            return new Captured(id, prepared.capture(this), attempt.atPause);
        } finally {
            capturing.remove(Thread.currentThread());
        }
    }

    /** Remembers that this was published. */
    synchronized void publish(SnapshotId id, MemorySegment atPause) {
        published.put(id, atPause);
    }

    /** Requires that nothing happened that must not, and that exactly what was published is in the store. */
    void requireSound(SnapshotStore store, SplittableRandom random) throws IOException {
        Misuse.require(breach.isEmpty(), breach);
        Misuse.require(pauses == resumes, "paused " + pauses + " times and resumed " + resumes + " times");
        for (int number = 0; number < captures; number++) {
            SnapshotId id = new SnapshotId(name + "-" + number);
            MemorySegment expected = published.get(id);
            Misuse.require(store.contains(id) == (expected != null), id + " was published although it failed, or "
                    + "was not although it did not: " + published.keySet());
            if (expected != null) {
                RestoreEngine engine = random.nextBoolean() ? RestoreEngine.LAZY : RestoreEngine.EAGER;
                try (RestoredSnapshot restored = Restore.of(store, id).verified().restore(engine)) {
                    long differs = restored.memory().mapping(0).mismatch(expected);
                    Misuse.require(differs < 0, id + " has other bytes than the guest at its pause, from " + differs);
                }
            }
        }
    }

    /** Requires that the guest can be captured, as if nothing had happened. */
    void requireCapturable(SnapshotStore store, SplittableRandom random) throws IOException {
        expect(Trouble.NONE);
        write(random);
        SnapshotId id = nextId();
        Optional<Throwable> failure = take(id, Capture.of(store, id, this).tracker(tracker)).failure();
        if (failure.isPresent()) {
            throw new AssertionError("the next capture fails", failure.get());
        }
        requireSound(store, random);
    }

    /** Deletes what it published, dependents first. */
    void forget(SnapshotStore store) throws IOException {
        while (!published.isEmpty()) {
            for (SnapshotId id : List.copyOf(published.keySet())) {
                if (store.dependents(id).isEmpty()) {
                    delete(store, id);
                }
            }
        }
    }

    /** Deletes one of those that it published, unless it is needed or there is none. */
    void deleteAny(SnapshotStore store, SplittableRandom random) throws IOException {
        if (!published.isEmpty()) {
            delete(store, List.copyOf(published.keySet()).get(random.nextInt(published.size())));
        }
    }

    private void delete(SnapshotStore store, SnapshotId id) throws IOException {
        store.delete(id);
        published.remove(id);
    }

    @Override
    public void pause() {
        synchronized (bytes) {
            if (paused) {
                breach = "paused while it was paused";
            }
            paused = true;
            pauses++;
            Attempt attempt = capturing.get(Thread.currentThread());
            attempt.paused = true;
            MemorySegment.copy(bytes, 0, attempt.atPause, 0, PAGES * (long) PAGE);
        }
        meet(Point.PAUSE);
    }

    @Override
    public List<MachineStateSection> saveState() {
        meet(Point.SAVE_STATE);
        return state;
    }

    @Override
    public void resume() {
        synchronized (bytes) {
            if (!paused) {
                breach = "resumed without being paused";
            }
            paused = false;
            resumes++;
        }
        meet(Point.RESUME);
    }

    /** For captures of it. */
    void advanced(long doneBytes, long totalBytes) {
        meet(Point.PROGRESS);
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public MemorySegment view(long imageOffset, long lengthBytes) {
        meet(Point.VIEW);
        return viewed ? bytes.asSlice(imageOffset, lengthBytes) : MemorySegment.NULL;
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) {
        meet(Point.READ);
        MemorySegment.copy(bytes, imageOffset, destination, 0, destination.byteSize());
    }

    @Override
    public void populated(long imageOffset, long lengthBytes, RangeConsumer ranges) throws IOException {
        meet(Point.POPULATED);
        ranges.accept(imageOffset, lengthBytes);
    }

    @Override
    public void requireMapped() {
        meet(Point.MAPPED);
    }

    @Override
    public boolean mayBeTruncated() {
        return false;
    }

    @Override
    public void close() throws IOException {
        try {
            tracker.close();
        } finally {
            arena.close();
        }
    }

    private void meet(Point point) {
        try {
            trouble.at(point);
        } catch (Throwable thrown) {
            TroubledGuest.<RuntimeException>sneak(thrown);
        }
    }

    /** As Kotlin, Scala and Lombok throw: whatever it is, undeclared. */
    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void sneak(Throwable thrown) throws T {
        throw (T) thrown;
    }

    /** One thread's capture. */
    private static final class Attempt {
        private final MemorySegment atPause = MemorySegment.ofArray(new byte[PAGES * PAGE]);
        private boolean paused;
    }

    /** Sees every write while it is armed, and forgets all when it fails. */
    private final class Log implements DirtySource {
        private final SourceOwnership ownership = new SourceOwnership();
        private final DirtyBitmap written;
        private volatile boolean armed;

        Log(DirtyBitmap written) {
            this.written = written;
        }

        void wrote(long offset) {
            if (armed) {
                written.mark(offset, PAGE);
            }
        }

        @Override
        public String name() {
            return "log of a guest in trouble";
        }

        @Override
        public GuestLayout layout() {
            return layout;
        }

        @Override
        public long blockBytes() {
            return written.blockBytes();
        }

        @Override
        public SourceOwnership ownership() {
            return ownership;
        }

        @Override
        public Set<WritePath> blindTo() {
            return Set.of();
        }

        @Override
        public void arm() {
            armed = false;
            meet(Point.ARM);
            written.clear();
            armed = true;
        }

        @Override
        public void harvest(DirtyBitmap into) {
            if (!armed) {
                throw new IllegalStateException("harvested and not armed");
            }
            armed = false;
            try {
                meet(Point.HARVEST);
                armed = true;
            } finally {
                if (!armed) {
                    written.clear();
                }
            }
            written.drainInto(into);
        }

        @Override
        public void learn(DirtyBitmap reported, DirtyBitmap changed) {
            meet(Point.LEARN);
        }

        @Override
        public void disarm() {
            armed = false;
            written.clear();
            meet(Point.DISARM);
        }

        @Override
        public void close() {
            armed = false;
            meet(Point.CLOSE);
        }
    }
}
