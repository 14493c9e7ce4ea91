package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.SnapshotReference;
import io.microsnap.dirty.Epoch;
import io.microsnap.memory.internal.image.ImageWriter;
import io.microsnap.memory.internal.image.MemoryWritten;
import io.microsnap.memory.internal.state.MachineStateFile;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.Manifest;
import io.microsnap.store.PageIndex;
import io.microsnap.store.PageMap;
import io.microsnap.store.SnapshotDescription;
import io.microsnap.store.SnapshotFiles;
import io.microsnap.store.StagedSnapshot;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

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
    private final Optional<HeldSnapshot> base;
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
    private boolean publishing;
    private boolean published;

    CapturedSnapshot(Capture plan, CaptureKind kind, String because, Optional<SnapshotReference> parent,
            Optional<HeldSnapshot> base, StagedSnapshot staged, PageIndex index, PageMap map, ImageWriter writer,
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
     * survives a power failure; when it throws, there is none, and closing gives the epoch back.
     */
    public CaptureResult publish() throws IOException {
        if (publishing) {
            throw new IllegalStateException(plan.id + " was published, or failed to be, already");
        }
        publishing = true;
        long start = System.nanoTime();
        long punchedBytes = writer.settle();
        index.finish();
        if (map != null) {
            map.finish();
        }
        if (!sections.isEmpty()) {
            MachineStateFile.write(sections, staged.create(SnapshotFiles.MACHINE));
        }
        SnapshotDescription description = describe();
        if (kind == CaptureKind.ONTO_BASE) {
            // Nothing is read from it any more, and the new snapshot may be meant to replace it.
            closing.closeNow(base.orElseThrow());
        }
        Manifest manifest = staged.publish(description, plan.ifTaken);
        published = true;
        if (epoch != null) {
            epoch.commit(manifest.reference());
        }
        CaptureResult result = new CaptureResult(manifest, kind, because, written, punchedBytes,
                times.published(Duration.ofNanos(System.nanoTime() - start)));
        event.commit(result);
        return result;
    }

    /**
     * Abandons what was not published. Of a published snapshot it only lets go: should that fail it is logged, for the
     * snapshot is there.
     */
    @Override
    public void close() throws IOException {
        publishing = true;
        try {
            closing.close();
        } catch (IOException | RuntimeException failure) {
            if (!published) {
                throw failure;
            }
            LOG.log(System.Logger.Level.WARNING, plan.id + " is published, but not everything could be closed",
                    failure);
        }
    }

    private SnapshotDescription describe() {
        GuestLayout layout = plan.reader.layout();
        SnapshotDescription description = switch (kind) {
            case DIFF -> SnapshotDescription.diff(layout, base.orElseThrow().reference());
            case ONTO_BASE -> SnapshotDescription.fullOnto(layout, base.orElseThrow().reference());
            default -> SnapshotDescription.full(layout);
        };
        if (parent.isPresent()) {
            description = description.withParent(parent.get());
        }
        return plan.description.apply(description);
    }
}
