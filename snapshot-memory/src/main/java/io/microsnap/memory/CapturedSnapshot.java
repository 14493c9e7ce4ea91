package io.microsnap.memory;

import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.dedup.internal.AfterBake;
import io.microsnap.dirty.Epoch;
import io.microsnap.memory.internal.state.MachineStateFile;
import io.microsnap.store.Manifest;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.SnapshotKind;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A machine's memory and state from the pause, in the page cache and still invisible. The machine runs again. {@link
 * #publish} keeps the snapshot; closing without that abandons it and gives the changes back to the tracker.
 */
public final class CapturedSnapshot implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(CapturedSnapshot.class.getName());

    private final Capture plan;
    private final StagedCapture staged;
    private final PauseOutcome pause;
    private final Basis basis;
    private final CaptureEvent event;
    private final Closing closing;
    private final AtomicBoolean ended = new AtomicBoolean();
    private boolean published;

    CapturedSnapshot(Capture plan, StagedCapture staged, PauseOutcome pause, CaptureEvent event, Closing closing) {
        this.plan = plan;
        this.staged = staged;
        this.pause = pause;
        basis = pause.basis();
        this.event = event;
        this.closing = closing;
    }

    /** Returns the counts of the memory written during the pause. */
    public MemoryWritten memory() {
        return pause.memory();
    }

    /** Returns what was copied before the pause; empty if that was not requested. */
    public Optional<CopiedAhead> copiedAhead() {
        return pause.copiedAhead();
    }

    /** Returns how long each part took so far. */
    public CaptureResult.Times times() {
        return pause.times();
    }

    /**
     * Makes the snapshot durable and visible, and commits the tracker's epoch. When this returns, the snapshot survives
     * a power failure; when it throws, there is no snapshot, and the tracker has the changes again. A full snapshot
     * then shares blocks with a sibling, as {@code Capture.sharing} says.
     *
     * @throws IllegalStateException if it was published or closed already, or abandoned through the tracker
     */
    public CaptureResult publish() throws IOException {
        if (!ended.compareAndSet(false, true)) {
            throw new IllegalStateException(plan.id + " is published or closed already, or its publication failed");
        }
        long start = System.nanoTime();
        long punchedBytes;
        Manifest manifest;
        try {
            pause.epoch().ifPresent(Epoch::requireOpen);
            punchedBytes = finishFiles();
            manifest = staged.snapshot().publish(describe(), plan.ifExists);
        } catch (Throwable failure) {
            closing.closeAfter(failure);
            throw failure;
        }
        published = true;
        if (pause.memory().pagesDamagedInBase() > 0) {
            LOG.log(System.Logger.Level.WARNING,
                    plan.id + " was captured " + basis.kind() + ", because " + basis.because());
        }
        commit(manifest.reference());
        CaptureResult.Times times = pause.times().published(Duration.ofNanos(System.nanoTime() - start));
        CaptureResult result = new CaptureResult(manifest, basis.kind(), basis.because(), pause.memory(),
                pause.copiedAhead(), punchedBytes, times, Optional.empty());
        event.commit(result);
        return basis.kind() == CaptureKind.FULL ? result.with(shared()) : result;
    }

    private long finishFiles() throws IOException {
        long punchedBytes = staged.writer().punchZeros();
        staged.index().finish();
        if (staged.map().isPresent()) {
            staged.map().get().finish();
        }
        if (!pause.sections().isEmpty()) {
            MachineStateFile.write(pause.sections(), staged.snapshot().create(SnapshotFiles.MACHINE));
        }
        if (basis.kind() == CaptureKind.ONTO_BASE) {
            // The base is no longer read, and the new snapshot may have to replace it.
            closing.closeNow(basis.base().orElseThrow());
        }
        return punchedBytes;
    }

    /**
     * Commits the epoch of a published snapshot. If the epoch was abandoned meanwhile, the next one contains all its
     * changes again.
     */
    private void commit(SnapshotReference reference) {
        if (pause.epoch().isEmpty()) {
            return;
        }
        try {
            pause.epoch().get().commit(reference);
        } catch (IllegalStateException abandoned) {
            LOG.log(System.Logger.Level.WARNING, plan.id + " is published, but its capture was abandoned meanwhile: the"
                    + " next one is relative to the snapshot before it", abandoned);
        }
    }

    /** Releases the snapshot first: an image that is not in use may be shared by any engine. */
    private DedupOutcome shared() throws IOException {
        close();
        AfterBake after = plan.sharing();
        return after.with(after.options().with(plan.fragmentation)).baked(plan.store, plan.id);
    }

    /**
     * Abandons an unpublished snapshot, and releases a published one. A failure to release is only logged, because the
     * snapshot exists.
     */
    @Override
    public void close() throws IOException {
        ended.set(true);
        try {
            closing.close();
        } catch (Throwable failure) {
            if (!published) {
                throw failure;
            }
            LOG.log(System.Logger.Level.WARNING, plan.id + " is published, but not everything could be closed",
                    failure);
        }
    }

    private SnapshotDescription describe() {
        SnapshotDescription said = plan.described;
        SnapshotKind kept = basis.kind() == CaptureKind.DIFF ? SnapshotKind.DIFF : SnapshotKind.FULL;
        return new SnapshotDescription(kept, said.layout(), basis.parent(),
                basis.base().map(StoredSnapshot::reference), said.image(), said.bakedByVersion(), said.labels(),
                said.requires());
    }
}
