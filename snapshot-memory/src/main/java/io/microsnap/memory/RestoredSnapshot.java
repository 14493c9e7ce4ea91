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
 * A machine's memory and state, restored. What is written to the memory stays with it. Close this when the machine
 * is gone: it unmaps the memory and lets go of the snapshot.
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
        // Closed with the memory at the latest, also when the restore fails after this.
        return closing.add(TouchedPages.watch(held.image().posix(), mapping, lazy.orElseThrow().readIn()));
    }

    /** Called by the restore. */
    synchronized void readsAhead(PrefetchRun run, ReadAhead.Extent extent) {
        ahead = Optional.of(run);
        mappedAhead = extent == ReadAhead.Extent.MAPPED;
    }

    /** Says what was read ahead. Waits for it, where it is read beside the guest. */
    public Prefetched prefetched() {
        Optional<PrefetchRun> run;
        synchronized (this) {
            run = ahead;
        }
        return run.map(PrefetchRun::await).orElse(Prefetched.NOTHING);
    }

    /**
     * Begins to record which pages the guest touches, for later restores of the snapshot to read ahead. Call this
     * before the machine runs, and end the recording when the guest is ready for its work. What was touched until now
     * counts as touched.
     *
     * <p>It is exact on Linux 6.7 and later where this process may use userfaultfd. Elsewhere the page cache tells, if
     * it does not hold the image yet.
     *
     * @throws IllegalStateException if the memory was read in by another engine than a lazy one; if a prefetch mapped a
     *     part of it, which {@link Restore#recordable} avoids; or if another recording has not ended
     * @throws TrackingUnavailableException where the system cannot tell, with the reason
     */
    public synchronized WorkingSetRecording recordWorkingSet() throws IOException {
        if (lazy.isEmpty()) {
            throw new IllegalStateException("memory that was read in does not tell what the guest touches; record a"
                    + " lazy restore");
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

    /** The guest's memory, for a hypervisor to register. It is closed with this. */
    @Override
    public GuestMemory memory() {
        return memory;
    }

    /** Reads the memory as it is now, for the next capture. */
    public PageReader reader() {
        return memory.reader();
    }

    /** The machine's state beside its memory, in the order it was saved; none where none was. */
    @Override
    public List<MachineStateSection> machineState() throws IOException {
        if (held.manifest().file(SnapshotFiles.MACHINE).isEmpty()) {
            return List.of();
        }
        return MachineStateFile.read(held.open(SnapshotFiles.MACHINE));
    }

    /** Opens an attachment for reading. The caller closes the channel. */
    public FileChannel attachment(String name) throws IOException {
        Descriptor file = held.open(SnapshotFiles.attachment(name));
        // The open file, whatever has its name by now.
        return FileChannel.open(Path.of("/dev/fd/" + file.number()), StandardOpenOption.READ);
    }

    /**
     * Marks what was written to the memory by other ways than those that the tracker's sources see, such as by a
     * renewal. Write first, then mark. A {@link #tracker} knows of it, whether it is made before or after the mark.
     */
    public synchronized void markWritten(long imageOffset, long lengthBytes) {
        // Kept even where there is a tracker: the next one, should this one be closed, begins with this snapshot again.
        marked.mark(imageOffset, lengthBytes);
        latest.ifPresent(tracker -> tracker.markWritten(imageOffset, lengthBytes));
    }

    /**
     * Knows what changes from here on, beginning with this snapshot: the first epoch is relative to it. Call this
     * before the machine runs; what was written until then must be marked. The tracker is the caller's, and is closed
     * before this.
     *
     * @param sources what sees the machine's writes. After a lazy restore there need not be any: the pages that were
     *     written are distinguished from the image's at no cost, exactly for the first capture, and too many of them
     *     for
     *     later ones
     */
    @Override
    public synchronized DirtyTracker tracker(DirtySource... sources) throws IOException {
        List<DirtySource> all = new ArrayList<>(List.of(sources));
        if (all.isEmpty()) {
            if (lazy.isEmpty()) {
                throw new IllegalArgumentException("memory that was read in does not tell what the guest writes;"
                        + " give a source that does, such as the hypervisor's dirty log");
            }
            all.add(new WrittenPages(held.layout(), lazy.get().changedPages()));
        }
        DirtyTracker tracker = DirtyTracker.of(held.layout(), all.toArray(DirtySource[]::new));
        try {
            DirtyBitmap written = marked.copy();
            if (lazy.isPresent() && sources.length > 0) {
                // Without sources, the first harvest tells of all that was written since the restore.
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
     * Makes the memory unusable and lets go of the snapshot. No capture may be using it. Memory that a VM still has
     * registered stays mapped for it until the VM is closed: see {@link GuestMemory#hold}.
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
