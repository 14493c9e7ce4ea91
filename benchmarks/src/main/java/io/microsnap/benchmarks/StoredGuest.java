package io.microsnap.benchmarks;

import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.Restore;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFiles;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/** A guest in a store, kept in one of several ways, with all that a peer must know to map or read the same bytes. */
final class StoredGuest {
    private static final int PAGE = Guest.PAGE;
    private static final long RUN_PAGES = 16;
    private static final long CHANGED_PER_MILLE = 50;
    private static final SnapshotId BASE = new SnapshotId("base");

    private final Path storePath;
    private final DirectoryStore store;
    private final Guest guest;
    private final Populated populated;
    private final List<SnapshotId> layers = new ArrayList<>();
    /** For each page, the number of the layer that holds it. */
    private final byte[] layerOfPage;

    private StoredGuest(Path storePath, DirectoryStore store, Guest guest, Populated populated) {
        this.storePath = storePath;
        this.store = store;
        this.guest = guest;
        this.populated = populated;
        layerOfPage = new byte[Math.toIntExact(guest.layout().pageCount())];
    }

    /** How a snapshot is kept. */
    enum Kind {
        /** By itself. */
        FULL,
        /** A clone of its base, a twentieth written into it. */
        ONTO_CLONE,
        /** A diff of a twentieth. */
        CHAIN_1,
        /** Eight diffs on one another, a twentieth in all. */
        CHAIN_8,
        /** By itself, sharing all but a twentieth of its blocks with another after deduplication. */
        SIBLING;

        String label() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    /** Where a guest has memory at all: a MiB in each {@code everyMib}, at most 1 GiB of it. */
    record Populated(long guestBytes, int everyMib) {
        private static final long PIECE_PAGES = Sizes.MIB / PAGE;

        static Populated of(long guestBytes) {
            return new Populated(guestBytes, Math.toIntExact(Math.max(1, guestBytes / Sizes.GIB)));
        }

        long pages() {
            return guestBytes / PAGE / everyMib;
        }

        /** Where the page lies in the guest that is number {@code page} of the populated ones. */
        long offset(long page) {
            return (page / PIECE_PAGES * PIECE_PAGES * everyMib + page % PIECE_PAGES) * PAGE;
        }
    }

    static StoredGuest make(Workbench workbench, Path directory, Kind kind, long bytes) throws Exception {
        Path storePath = directory.resolve("store");
        DirectoryStore store = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), storePath, StoreOptions.PRIVATE));
        Populated populated = Populated.of(bytes);
        Guest guest = populated.everyMib == 1 ? Guest.full(workbench, bytes) : Guest.empty(workbench, bytes);
        for (long mib = 0; populated.everyMib > 1 && mib < bytes / Sizes.MIB; mib += populated.everyMib) {
            guest.fill(mib * Sizes.MIB, Sizes.MIB);
        }
        StoredGuest stored = new StoredGuest(storePath, store, guest, populated);
        DirtyTracker tracker = workbench.closeLater(DirtyTracker.ofMarks(guest.layout()));
        stored.capture(BASE, tracker, CaptureKind.FULL);
        stored.layers.add(BASE);
        switch (kind) {
            case FULL -> { }
            case ONTO_CLONE -> stored.change(tracker, CaptureKind.ONTO_BASE, 1);
            case CHAIN_1 -> stored.change(tracker, CaptureKind.DIFF, 1);
            case CHAIN_8 -> stored.change(tracker, CaptureKind.DIFF, 8);
            case SIBLING -> {
                stored.change(tracker, CaptureKind.FULL, 1);
                new Deduplicator(store).deduplicate(stored.id(), BASE, DedupOptions.DEFAULTS);
            }
        }
        return stored;
    }

    private void change(DirtyTracker tracker, CaptureKind kind, int times) throws IOException {
        long runs = guest.layout().pageCount() * CHANGED_PER_MILLE / 1000 / RUN_PAGES / times;
        for (int time = 1; time <= times; time++) {
            int layer = time;
            if (kind != CaptureKind.DIFF) {
                layers.clear();
            }
            // Another count has other places.
            guest.dirtyRuns(RUN_PAGES, runs + times - time + 1).runs(0, (offset, length) -> {
                Guest.fill(guest.memory(), offset, length, layer);
                tracker.markWritten(offset, length);
                if (kind == CaptureKind.DIFF) {
                    Arrays.fill(layerOfPage, Math.toIntExact(offset / PAGE),
                            Math.toIntExact((offset + length) / PAGE), (byte) layer);
                }
            });
            SnapshotId id = new SnapshotId("changed-" + time);
            capture(id, tracker, kind);
            layers.add(id);
        }
    }

    private void capture(SnapshotId id, DirtyTracker tracker, CaptureKind kind) throws IOException {
        Capture.of(store, id, guest.reader()).tracker(tracker).kind(kind).threads(2)
                .withoutSharing().take(PausableMachine.pausedAlready(List.of()));
    }

    SnapshotId id() {
        return layers.getLast();
    }

    Restore restore() {
        return Restore.of(store, id());
    }

    Populated populated() {
        return populated;
    }

    /** The memory files that its bytes come from. */
    List<Path> images() {
        return layers.stream().map(id -> storePath.resolve(id.toString()).resolve(SnapshotFiles.MEMORY)).toList();
    }

    /** Has the kernel forget everything that it keeps of the snapshot's files. */
    void makeCold() throws IOException {
        for (SnapshotId id : layers) {
            try (Stream<Path> files = Files.walk(storePath.resolve(id.toString()))) {
                for (Path file : files.filter(Files::isRegularFile).toList()) {
                    DedupImages.makeCold(file);
                }
            }
        }
    }

    /** Reads every image through, holes aside. */
    void makeWarm() throws IOException {
        for (Path image : images()) {
            Residency.readData(image);
        }
    }

    /** Throws unless a restored guest has every byte that was captured. */
    void requireSame(MemorySegment restored) throws IOException {
        long piece = populated.everyMib == 1 ? guest.memory().byteSize() : Sizes.MIB;
        for (long offset = 0; offset < guest.memory().byteSize(); offset += piece * populated.everyMib) {
            long mismatch = restored.asSlice(offset, piece).mismatch(guest.memory().asSlice(offset, piece));
            if (mismatch >= 0) {
                throw new IOException("the restored memory differs from the guest's at byte " + (offset + mismatch));
            }
        }
    }

    /** What the peer's touches must add up to. */
    long sum(TouchPlan plan) {
        return plan.touch(guest.memory(), 0, plan.pages());
    }

    /** Writes what a peer must map or read: length, files, and which range comes from which. */
    void tell(StringBuilder plan) {
        plan.append(String.format(Locale.ROOT, "bytes %d%nfiles %d%n", guest.memory().byteSize(), layers.size()));
        images().forEach(image -> plan.append(image).append('\n'));
        StringBuilder pieces = new StringBuilder();
        int count = 0;
        int start = 0;
        for (int page = 1; page <= layerOfPage.length; page++) {
            if (page == layerOfPage.length || layerOfPage[page] != layerOfPage[start]) {
                pieces.append(String.format(Locale.ROOT, "%d %d %d%n",
                        (long) start * PAGE, (long) (page - start) * PAGE, layerOfPage[start]));
                count++;
                start = page;
            }
        }
        plan.append("pieces ").append(count).append('\n').append(pieces);
    }
}
