package io.microsnap.benchmarks.parts;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.dedup.SiblingPolicy;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.StoreOptions;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** What VM managers call in loops, for a small guest: what of it is the library's own work, and what it allocates. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class SnapshotBenchmark {
    private static final int PAGE = 4096;
    private static final long GUEST_BYTES = 16L << 20;
    private static final int SIBLINGS = 8;
    private static final long CHANGED_PAGES = 40;
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId NEXT = new SnapshotId("next");
    private static final SnapshotId FRESH = new SnapshotId("fresh");

    private final GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, GUEST_BYTES);
    private final PausableMachine paused = PausableMachine.pausedAlready(List.of());
    private OwnDirectory directory;
    private SnapshotStore store;
    private GuestMemory memory;
    private DirtyTracker tracker;
    private Deduplicator deduplicator;
    private long generation;

    /** A guest whose pages are all written, captured; and siblings of it. */
    @Setup
    public void prepare() throws IOException {
        directory = OwnDirectory.create();
        store = SnapshotStore.openOrCreate(directory.path().resolve("store"), StoreOptions.PRIVATE);
        memory = GuestMemory.anonymous(layout, HugePages.NONE);
        MemorySegment bytes = memory.mapping(0);
        for (long at = 0; at < GUEST_BYTES; at += Long.BYTES) {
            bytes.set(ValueLayout.JAVA_LONG, at, (at + 1) * 0x9E3779B97F4A7C15L);
        }
        for (int sibling = 0; sibling <= SIBLINGS; sibling++) {
            bytes.set(ValueLayout.JAVA_LONG, (long) sibling * PAGE, sibling);
            SnapshotId id = sibling == SIBLINGS ? FRESH : new SnapshotId("sibling-" + sibling);
            capture(id).imageName("image").bakerVersion("1").take(paused);
        }
        tracker = DirtyTracker.ofMarks(layout);
        capture(BASE).tracker(tracker).take(paused);
        deduplicator = new Deduplicator(store);
    }

    private Capture capture(SnapshotId id) {
        return Capture.of(store, id, memory.reader()).withoutSharing();
    }

    /** Removes it all. */
    @TearDown
    public void remove() throws IOException {
        tracker.close();
        memory.close();
        store.close();
        directory.close();
    }

    /** A capture of 40 dirty pages of 16 MiB, durable, and its deletion; relative to the base each time. */
    @Benchmark
    public CaptureResult captureAndDelete() throws IOException {
        try (RestoredSnapshot machine = Restore.of(store, BASE).restore(RestoreEngine.LAZY);
                DirtyTracker changes = machine.tracker()) {
            generation++;
            for (long page = 0; page < CHANGED_PAGES; page++) {
                machine.memory().mapping(0).set(ValueLayout.JAVA_LONG, page * 97 * PAGE, generation);
            }
            CaptureResult result = Capture.of(store, NEXT, machine.reader()).tracker(changes).kind(CaptureKind.DIFF)
                    .take(paused);
            store.delete(NEXT);
            return result;
        }
    }

    /** A lazy restore of 16 MiB, one page read, closed. */
    @Benchmark
    public long lazyRestore() throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, BASE).restore(RestoreEngine.LAZY)) {
            return restored.memory().mapping(0).get(ValueLayout.JAVA_LONG, GUEST_BYTES / 2);
        }
    }

    /** The most alike of eight siblings, by their page indexes. */
    @Benchmark
    public int siblings() throws IOException {
        return deduplicator.siblings(FRESH, SiblingPolicy.MOST_ALIKE).size();
    }
}
