package io.microsnap.memory;

import io.microsnap.core.MachineStateSection;
import io.microsnap.core.SnapshotReference;
import io.microsnap.dedup.AfterBake;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.dirty.Epoch;
import io.microsnap.memory.internal.image.ImageWriter;
import io.microsnap.memory.internal.state.MachineStateFile;
import io.microsnap.store.Manifest;
import io.microsnap.store.SnapshotDescription;
import io.microsnap.store.SnapshotKind;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A machine's memory and state as they were during the pause, in the page cache and invisible as yet. The machine runs
 * again. {@link #publish} keeps it; closing it without that abandons it and gives the tracker back what changed.
 */
public final class CapturedSnapshot implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(CapturedSnapshot.class.getName());

    private final Capture plan;
    private final CaptureKind kind;
    private final String because;
    private final Optional<SnapshotReference> parent;
    private final Optional<StoredSnapshot> base;
    private final StagedSnapshot staged;
    private final PageIndex index;
    private final PageMap map;
    private final ImageWriter writer;
    private final List<MachineStateSection> sections;
    private final Epoch epoch;
    private final MemoryWritten written;
    private final CaptureResult.Times times;
    private final CaptureEvent event;
    private final Closing closing;
    private final AtomicBoolean ended = new AtomicBoolean();
    private boolean published;

    CapturedSnapshot(Capture plan, CaptureKind kind, String because, Optional<SnapshotReference> parent,
            Optional<StoredSnapshot> base, StagedSnapshot staged, PageIndex index, PageMap map, ImageWriter writer,
            List<MachineStateSection> sections, Epoch epoch, MemoryWritten written, CaptureResult.Times times,
            CaptureEvent event, Closing closing) {
        this.plan = plan;
        this.kind = kind;
        this.because = because;
        this.parent = parent;
        this.base = base;
        this.staged = staged;
        this.index = index;
        this.map = map;
        this.writer = writer;
        this.sections = sections;
        this.epoch = epoch;
        this.written = written;
        this.times = times;
        this.event = event;
        this.closing = closing;
    }

    /** What the writing of memory came to. */
    public MemoryWritten memory() {
        return written;
    }

    /** How long each part took so far. */
    public CaptureResult.Times times() {
        return times;
    }

    /**
     * Makes the snapshot durable and visible, and commits the tracker's epoch. When this returns, the snapshot
     * survives a power failure; when it throws, there is none, and the tracker has back what changed.
     * A full snapshot then comes to share blocks with a sibling, as {@link Capture#afterBake} says.
     *
     * @throws IllegalStateException if it was published or closed already, or abandoned through the tracker
     */
    public CaptureResult publish() throws IOException {
        if (!ended.compareAndSet(false, true)) {
            throw new IllegalStateException(plan.id + " was published, failed to be, or is closed");
        }
        long start = System.nanoTime();
        long punchedBytes;
        Manifest manifest;
        try {
            if (epoch != null) {
                epoch.requireOpen();
            }
            punchedBytes = finishFiles();
            manifest = staged.publish(describe(), plan.ifTaken);
        } catch (Throwable failure) {
            closing.closeAfter(failure);
            throw failure;
        }
        published = true;
        if (written.pagesDamagedInBase() > 0) {
            LOG.log(System.Logger.Level.WARNING, plan.id + " was captured " + kind + ", because " + because);
        }
        commit(manifest.reference());
        CaptureResult result = new CaptureResult(manifest, kind, because, written, punchedBytes,
                times.published(Duration.ofNanos(System.nanoTime() - start)), Optional.empty());
        event.commit(result);
        return kind == CaptureKind.FULL ? result.with(shared()) : result;
    }

    private long finishFiles() throws IOException {
        long punchedBytes = writer.settle();
        index.finish();
        if (map != null) {
            map.finish();
        }
        if (!sections.isEmpty()) {
            MachineStateFile.write(sections, staged.create(SnapshotFiles.MACHINE));
        }
        if (kind == CaptureKind.ONTO_BASE) {
            // Nothing is read from it any more, and the new snapshot may be meant to replace it.
            closing.closeNow(base.orElseThrow());
        }
        return punchedBytes;
    }

    /** The snapshot is there: where the epoch was abandoned meanwhile, the next one tells of all of it once more. */
    private void commit(SnapshotReference reference) {
        if (epoch == null) {
            return;
        }
        try {
            epoch.commit(reference);
        } catch (IllegalStateException abandoned) {
            LOG.log(System.Logger.Level.WARNING, plan.id + " is published, but its capture was abandoned meanwhile: the"
                    + " next one is relative to the snapshot before it", abandoned);
        }
    }

    /** Lets go of the snapshot first: an image that nobody uses may be shared by any means. */
    private DedupOutcome shared() throws IOException {
        close();
        AfterBake after = plan.afterBake;
        return after.with(after.options().with(plan.fragmentation)).baked(plan.store, plan.id);
    }

    /**
     * Abandons what was not published. Of a published snapshot it only lets go: should that fail it is logged, for the
     * snapshot is there.
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
        return new SnapshotDescription(kind == CaptureKind.DIFF ? SnapshotKind.DIFF : SnapshotKind.FULL, said.layout(),
                parent, base.map(StoredSnapshot::reference), said.image(), said.bakedByVersion(), said.labels(),
                said.requires());
    }
}
