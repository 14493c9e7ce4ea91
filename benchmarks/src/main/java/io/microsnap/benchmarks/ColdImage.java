package io.microsnap.benchmarks;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.Capture;
import io.microsnap.memory.Prefetch;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.memory.WorkingSetRecording;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A snapshot of a guest of which every page was written, and whose image leaves the page cache when asked. */
final class ColdImage implements AutoCloseable {
    private static final SnapshotId ID = new SnapshotId("guest");
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;
    /** Of {@code /proc/self/stat}, behind the command's name. */
    private static final int MAJOR_FAULTS = 10;

    private final Path directory;
    private final DirectoryStore store;
    private final StoredSnapshot held;

    private ColdImage(Path directory, DirectoryStore store, StoredSnapshot held) {
        this.directory = directory;
        this.store = store;
        this.held = held;
    }

    /** Captures a guest on a new file system. */
    static ColdImage make(Workbench workbench, FileSystemKind kind, long bytes) throws Exception {
        Path directory = workbench.directory(kind);
        DirectoryStore store = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE));
        try (GuestRam ram = GuestRam.anonymous(
                Posix.host(), GuestLayout.ofSingleRegion(Guest.PAGE, bytes), HugePages.NONE)) {
            MemorySegment memory = ram.mapping(0);
            for (long at = 0; at < bytes; at += Long.BYTES) {
                memory.set(ValueLayout.JAVA_LONG, at, (at + 1) * GOLDEN);
            }
            Capture.of(store, ID, ram.reader()).take(PausableMachine.pausedAlready(List.of()));
        }
        return workbench.closeLater(new ColdImage(directory, store, store.hold(ID)));
    }

    /** Where the scenario may put files of its own. */
    Path directory() {
        return directory;
    }

    Path path() {
        return directory.resolve("store").resolve(ID.name()).resolve("memory.img");
    }

    /** A restore of the snapshot, which stays open between restores. */
    Restore restore() {
        return Restore.of(held);
    }

    /** A restore that opens the snapshot for itself. */
    Restore restoreFromStore() {
        return Restore.of(store, ID);
    }

    /** Records a guest that touches these pages; the first restores after that find them in the working set. */
    void record(TouchPattern touched) throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, ID).recordable().prefetch(Prefetch.NONE)
                .restore(RestoreEngine.LAZY); WorkingSetRecording recording = restored.recordWorkingSet()) {
            touched.touch(restored.memory().mapping(0));
            long pages = recording.save().pages();
            if (pages != touched.count()) {
                throw new IOException(pages + " pages were recorded, but " + touched.count() + " were touched");
            }
        }
    }

    /** Takes the image, and nothing else, out of the page cache. */
    void evict() throws IOException {
        Posix posix = Posix.host();
        held.image().check("posix_fadvise", posix.posix_fadvise(
                held.image().number(), 0, 0, posix.constants().POSIX_FADV_DONTNEED), "");
        long left = residentBytes();
        if (left != 0) {
            throw new IOException(left + " bytes of " + path() + " stay in the page cache");
        }
    }

    /** How much of the image is in the page cache. */
    long residentBytes() throws IOException {
        long[] bytes = {0};
        try (Mapping all = Mapping.file(held.image(), 0, held.layout().lengthBytes(), Access.SHARED_READ)) {
            all.resident(0, all.lengthBytes(), (offset, lengthBytes) -> bytes[0] += lengthBytes);
        }
        return bytes[0];
    }

    /** How many of this process's faults had to wait for a disk. */
    static long majorFaults() throws IOException {
        String stat = Files.readString(Path.of("/proc/self/stat"));
        return Long.parseLong(stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[MAJOR_FAULTS - 1]);
    }

    @Override
    public void close() {
        held.close();
    }
}
