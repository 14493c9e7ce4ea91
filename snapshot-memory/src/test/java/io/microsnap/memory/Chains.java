package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/** Chains of diffs of small guests in a store, and every byte that each of their snapshots must hold. */
final class Chains {
    static final int PAGE = 4096;
    static final int PAGES = 32;
    static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, (long) PAGES * PAGE);
    static final String LABEL = "chain";

    private static final MachineStateSection SECTION = new MachineStateSection("cpu", ByteBuffer.wrap(new byte[99]));

    private final Map<SnapshotId, byte[]> contents = new LinkedHashMap<>();
    private final SplittableRandom random;

    Chains(SplittableRandom random) {
        this.random = random;
    }

    /** Captures a full snapshot and diffs, {@code name-0} and so on, each with a few pages changed. */
    void capture(DirectoryStore store, String name, int length) throws IOException {
        try (Guest guest = new Guest(name)) {
            for (int number = 0; number < length; number++) {
                guest.capture(store);
            }
        }
    }

    /** A guest of which one snapshot after another is captured. */
    final class Guest implements AutoCloseable {
        private final String name;
        private final InMemoryPageReader memory = InMemoryPageReader.of(LAYOUT);
        private final DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT);
        private int captured;

        Guest(String name) {
            this.name = name;
        }

        /** Writes a few pages and captures them. */
        void capture(DirectoryStore store) throws IOException {
            MemorySegment bytes = memory.bytes();
            for (int change = 0; change < 5; change++) {
                long offset = random.nextLong(PAGES) * PAGE;
                byte[] page = new byte[PAGE];
                if (change > 0) {
                    random.nextBytes(page);
                }
                MemorySegment.copy(MemorySegment.ofArray(page), 0, bytes, offset, PAGE);
                tracker.markWritten(offset, PAGE);
            }
            SnapshotId id = new SnapshotId(name + "-" + captured);
            Capture.of(store, id, memory).tracker(tracker)
                    .kind(captured == 0 ? CaptureKind.FULL : CaptureKind.DIFF)
                    .label(LABEL, name)
                    .take(PausableMachine.pausedAlready(List.of(SECTION)));
            contents.put(id, bytes.toArray(ValueLayout.JAVA_BYTE));
            captured++;
        }

        @Override
        public void close() throws IOException {
            tracker.close();
        }
    }

    Map<SnapshotId, byte[]> contents() {
        return contents;
    }

    /** Whatever the store lists is whole, and byte for byte what was captured. */
    void requireExact(DirectoryStore store, String what) throws IOException {
        for (SnapshotEntry entry : store.list()) {
            assertThat(entry).as(what).isInstanceOf(SnapshotEntry.Whole.class);
            requireExact(store, new SnapshotId(entry.name()), what);
        }
    }

    void requireExact(DirectoryStore store, SnapshotId id, String what) throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, id).verified().restore(RestoreEngine.LAZY)) {
            assertThat(restored.memory().mapping(0).mismatch(MemorySegment.ofArray(contents.get(id))))
                    .as("%s: %s", what, id).isEqualTo(-1);
            assertThat(restored.machineState()).as("%s: state of %s", what, id).isEqualTo(List.of(SECTION));
        }
    }

    /** Copies a store with everything in it. */
    static void copyStore(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            files.forEach(file -> {
                try {
                    Files.copy(file, to.resolve(from.relativize(file).toString()), StandardCopyOption.COPY_ATTRIBUTES);
                } catch (IOException failure) {
                    throw new UncheckedIOException(failure);
                }
            });
        }
    }

    static void remove(Path directory) throws IOException {
        try (Stream<Path> files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }
}
