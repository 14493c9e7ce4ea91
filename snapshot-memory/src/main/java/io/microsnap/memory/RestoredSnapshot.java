package io.microsnap.memory;

import io.microsnap.core.GuestMemory;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.RestoredMachine;
import io.microsnap.dirty.TrackingUnavailableException;
import io.microsnap.memory.internal.ahead.ReadAhead;
import io.microsnap.memory.internal.ahead.TouchedPages;
import io.microsnap.memory.internal.image.LazyMapping;
import io.microsnap.memory.internal.state.MachineStateFile;
import io.microsnap.store.Manifest;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A restored machine's memory and state. Writes to the memory are private to it. Close this when the machine is gone:
 * closing unmaps the memory and releases the snapshot.
 */
public final class RestoredSnapshot implements RestoredMachine, AutoCloseable {
    private final StoredSnapshot held;
    private final Mapping mapping;
    private final Optional<LazyMapping> lazy;
    private final GuestRam memory;
    private final Closing closing;
    private final DirtyBitmap marked;
    private Optional<DirtyTracker> latest = Optional.empty();
    private Optional<PrefetchRun> ahead = Optional.empty();
    private boolean mappedAhead;
    private Optional<TouchedPages> watched = Optional.empty();
    private Optional<WorkingSetRecording> recording = Optional.empty();

    RestoredSnapshot(StoredSnapshot held, Mapping mapping, Optional<LazyMapping> lazy, Closing closing) {
        this.held = held;
        this.mapping = mapping;
        this.lazy = lazy;
        this.closing = closing;
        memory = GuestRam.of(held.layout(), mapping);
        marked = DirtyBitmap.of(held.layout());
    }

    Mapping mapping() {
        return mapping;
    }

    /** Called by the restore, before anything touches the memory. */
    synchronized void watchTouches() throws IOException {
        watched = Optional.of(touches());
    }

    private TouchedPages touches() throws IOException {
        // Registered here, so that it is closed with the memory even if the restore fails later.
        return closing.add(TouchedPages.watch(held.image().posix(), mapping, lazy.orElseThrow().readIn()));
    }

    /** Called by the restore. */
    synchronized void readsAhead(PrefetchRun run, ReadAhead.Extent extent) {
        ahead = Optional.of(run);
        mappedAhead = extent == ReadAhead.Extent.MAPPED;
    }

    /** Returns what was read ahead. If the reading runs beside the guest, waits for its end. */
    public Prefetched prefetched() {
        Optional<PrefetchRun> run;
        synchronized (this) {
            run = ahead;
        }
        return run.map(PrefetchRun::await).orElse(Prefetched.NOTHING);
    }

    /**
     * Begins to record which pages the guest touches, so that later restores of the snapshot can read them ahead. Call
     * this before the machine runs, and end the recording when the guest is ready for its work. Pages that are touched
     * already count as touched.
     *
     * <p>It is exact on Linux 6.7 and later if this process may use userfaultfd. Elsewhere it relies on the page cache,
     * and works only if the cache does not hold the image yet.
     *
     * @throws IllegalStateException if the memory was read in by another engine than a lazy one; if a prefetch mapped a
     *     part of it, which {@link Restore#recordable} avoids; or if another recording has not ended
     * @throws TrackingUnavailableException if the system cannot record touches, with the reason
     */
    public synchronized WorkingSetRecording recordWorkingSet() throws IOException {
        if (lazy.isEmpty()) {
            throw new IllegalStateException("touches cannot be recorded in memory that was read in; record a lazy"
                    + " restore");
        }
        if (mappedAhead) {
            throw new IllegalStateException("the pages that were prefetched are mapped, as if the guest had touched"
                    + " them; restore with recordable(), or without prefetch");
        }
        if (recording.isPresent() && !recording.get().hasEnded()) {
            throw new IllegalStateException("a recording of " + held + " has not ended; save or close it first");
        }
        TouchedPages touched = watched.isPresent() ? watched.get() : touches();
        watched = Optional.empty();
        WorkingSetRecording begun = new WorkingSetRecording(held, touched);
        recording = Optional.of(begun);
        return begun;
    }

    /** Names the snapshot. */
    public SnapshotReference reference() {
        return held.reference();
    }

    /** Returns what the snapshot says of itself. */
    public Manifest manifest() {
        return held.manifest();
    }

    /** Returns the guest's memory, for a hypervisor to register. Closing this closes it. */
    @Override
    public GuestMemory memory() {
        return memory;
    }

    /** Reads the memory as it is now, for the next capture. */
    public PageReader reader() {
        return memory.reader();
    }

    /** Returns the machine's state beside its memory, in the order it was saved; empty if none was saved. */
    @Override
    public List<MachineStateSection> machineState() throws IOException {
        if (!held.manifest().hasMachineState()) {
            return List.of();
        }
        return MachineStateFile.read(held.open(SnapshotFiles.MACHINE));
    }

    /** Opens an attachment for reading. The caller closes the channel. */
    public FileChannel attachment(String name) throws IOException {
        Descriptor file = held.open(SnapshotFiles.attachment(name));
        // Opens the file by its descriptor, because its name may lead to another file by now.
        return FileChannel.open(Path.of("/dev/fd/" + file.number()), StandardOpenOption.READ);
    }

    /**
     * Marks a write to the memory that the tracker's sources do not see, such as that of a renewal. Write first, then
     * mark. A {@link #tracker} learns of it, whether it is made before or after the mark.
     */
    public synchronized void markWritten(long imageOffset, long lengthBytes) {
        // Recorded even if there is a tracker: if that one is closed, the next one starts from this snapshot again.
        marked.mark(imageOffset, lengthBytes);
        latest.ifPresent(tracker -> tracker.markWritten(imageOffset, lengthBytes));
    }

    /**
     * Returns a tracker of the changes since this snapshot: its first epoch is relative to it. Call this before the
     * machine runs; earlier writes must be marked. The caller closes the tracker before this.
     *
     * @param sources the sources that see the machine's writes. A lazy restore needs none: the kernel distinguishes
     * written pages from the image's at no cost, exactly for the first capture, and with too many pages for later ones
     */
    @Override
    public synchronized DirtyTracker tracker(DirtySource... sources) throws IOException {
        List<DirtySource> all = new ArrayList<>(List.of(sources));
        if (all.isEmpty()) {
            if (lazy.isEmpty()) {
                throw new IllegalArgumentException("writes cannot be tracked in memory that was read in; give a"
                        + " source that sees them, such as the hypervisor's dirty log");
            }
            all.add(new WrittenPages(held.layout(), lazy.get().changedPages()));
        }
        DirtyTracker tracker = DirtyTracker.of(held.layout(), all.toArray(DirtySource[]::new));
        try {
            DirtyBitmap written = marked.copy();
            if (lazy.isPresent() && sources.length > 0) {
                // Without sources, the first harvest names all pages written since the restore.
                lazy.get().changedPages().addTo(written);
            }
            tracker.armRelativeTo(held.reference(), written);
            latest = Optional.of(tracker);
            return tracker;
        } catch (Throwable failure) {
            try {
                tracker.close();
            } catch (Throwable second) {
                failure.addSuppressed(second);
            }
            throw failure;
        }
    }

    /**
     * Makes the memory unusable and releases the snapshot. No capture may be using it. Memory that a VM still has
     * registered stays mapped until the VM is closed: see {@link GuestMemory#hold}.
     */
    @Override
    public void close() throws IOException {
        try {
            endRecording();
        } finally {
            try {
                closing.close();
            } finally {
                marked.release();
            }
        }
    }

    private synchronized void endRecording() throws IOException {
        if (recording.isPresent()) {
            recording.get().close();
        }
    }
}
