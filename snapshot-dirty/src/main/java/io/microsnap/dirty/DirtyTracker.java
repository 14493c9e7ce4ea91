package io.microsnap.dirty;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotReference;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * Knows what changed in one guest since its last snapshot: the union of any number of {@link DirtySource}s and of what
 * its users mark. Captures {@linkplain #claim claim} it and take {@link Epoch}s from it, one at a time.
 *
 * <p>Two things are kept apart. Whether the sources <em>watch</em>: they do from {@link #arm} or the first harvest
 * on, until something fails, {@link #invalidate} is called, or the tracker is closed. And whether everything that
 * changed since the last snapshot is <em>known</em>: it is when they watched without interruption since the moment
 * which that snapshot is of. Once it is not known it stays so until a capture that does without it has been
 * published; each epoch says which it is, and why.
 *
 * <p>Users promise: every write to guest memory that a source is {@linkplain #blindTo blind to} is marked, after the
 * memory was written and before the write is acknowledged to anyone; so is every discard.
 *
 * <p>Safe for use by any number of threads. Marks never wait.
 */
public final class DirtyTracker implements AutoCloseable {
    private static final Logger LOG = System.getLogger(DirtyTracker.class.getName());

    private final GuestLayout layout;
    private final List<DirtySource> sources;
    /** What was marked, or given back, since the last harvest. */
    private final DirtyBitmap pending;
    /** What the outstanding epoch holds; clean when there is none. */
    private final DirtyBitmap taken;

    private SnapshotReference parent;
    private String unknownBecause = "no snapshot of this guest has been made or restored here yet";
    private boolean watching;
    private boolean closed;
    private TrackerClaim claim;
    private Epoch outstanding;

    private DirtyTracker(GuestLayout layout, List<DirtySource> sources) {
        for (DirtySource source : sources) {
            if (!source.layout().equals(layout)) {
                throw new IllegalArgumentException("the " + source.name() + " watches " + source.layout()
                        + ", the tracker is for " + layout);
            }
        }
        this.layout = layout;
        this.sources = List.copyOf(sources);
        pending = DirtyBitmap.of(layout);
        taken = DirtyBitmap.of(layout);
        own(this.sources);
    }

    /** All of them, or none. */
    private static void own(List<DirtySource> sources) {
        List<SourceOwnership> owned = new ArrayList<>();
        try {
            for (DirtySource source : sources) {
                source.ownership().take(source);
                owned.add(source.ownership());
            }
        } catch (Throwable failure) {
            owned.forEach(SourceOwnership::release);
            throw failure;
        }
    }

    /** A tracker of explicit marks alone: for a guest whose every write is made, and marked, by its user. */
    public static DirtyTracker ofMarks(GuestLayout layout) {
        return new DirtyTracker(layout, List.of());
    }

    /**
     * The union of sources and explicit marks. The tracker owns the sources and closes them; a source that another
     * tracker owns is an {@link IllegalStateException}.
     */
    public static DirtyTracker of(GuestLayout layout, DirtySource... sources) {
        return new DirtyTracker(layout, List.of(sources));
    }

    /** Returns the layout of the guest. */
    public GuestLayout layout() {
        return layout;
    }

    /** The largest unit in which a source reports; bitmaps are of pages all the same. */
    public long blockBytes() {
        return sources.stream().mapToLong(DirtySource::blockBytes).reduce(layout.pageBytes(), Math::max);
    }

    /** The ways of writing that none of the sources sees: what must be marked. */
    public Set<WritePath> blindTo() {
        Set<WritePath> blind = EnumSet.allOf(WritePath.class);
        sources.forEach(source -> blind.retainAll(source.blindTo()));
        return blind;
    }

    /** The guest's last snapshot: the one committed last, or restored from. */
    public synchronized Optional<SnapshotReference> parent() {
        return Optional.ofNullable(parent);
    }

    /** Why the next epoch cannot tell what changed since the parent; empty when it can, unless something fails. */
    public synchronized Optional<String> unknownBecause() {
        return Optional.ofNullable(unknownBecause);
    }

    /**
     * Makes the sources watch, if they do not already. Meant for the time before a pause, while the guest runs: what
     * they see from here to the harvest belongs to that harvest's epoch. Without it the harvest arms them, during the
     * pause. After a failure none of them watches.
     */
    public synchronized void arm() throws IOException {
        requireOpen();
        if (!watching) {
            armSources();
        }
    }

    /**
     * Begins anew from a snapshot whose memory the guest has at this moment, with nothing written yet: after a
     * restore. The first epoch will be relative to it. When the sources cannot be armed the failure is thrown, and
     * what changed since the snapshot stays unknown.
     */
    public void armRelativeTo(SnapshotReference base) throws IOException {
        begin(base, null);
    }

    /**
     * Begins anew from a snapshot whose memory the guest has at this moment, save for what is named: see
     * {@link #armRelativeTo(SnapshotReference)}.
     *
     * @param base the snapshot
     * @param changed what differs from it already, which is copied; nothing else may be written until this returns
     */
    public void armRelativeTo(SnapshotReference base, DirtyBitmap changed) throws IOException {
        begin(base, Objects.requireNonNull(changed));
    }

    /** Marks a range that was written by a way the sources do not see. Write first, then mark. */
    public void markWritten(long imageOffset, long lengthBytes) {
        // The bits may be set already, and are then only read: that must not happen before the write is visible, or a
        // harvest in between takes the bits and the capture copies the memory as it was before.
        VarHandle.fullFence();
        pending.mark(imageOffset, lengthBytes);
    }

    /** Marks a range that was given back and reads as zeros now. Discard first, then mark. */
    public void markDiscarded(long imageOffset, long lengthBytes) {
        markWritten(imageOffset, lengthBytes);
    }

    /**
     * Says that the sources may have missed something: a slot was added, moved or removed, a vCPU ran unwatched. The
     * next epoch will not be relative to anything, and the sources are armed afresh. Such changes of the machine and
     * harvests exclude each other; that is for the caller to see to.
     */
    public synchronized void invalidate(String reason) {
        nothingIsKnown(Objects.requireNonNull(reason));
    }

    /**
     * Keeps the tracker for one capture: until the claim or its epoch ends, nobody else may harvest, claim it, or begin
     * anew. Marks, {@link #arm} and {@link #invalidate} stay possible.
     */
    public synchronized TrackerClaim claim() throws CaptureOutstandingException {
        requireIdle();
        claim = new TrackerClaim(this);
        return claim;
    }

    /**
     * Abandons the capture that claimed the tracker or took its epoch, for when its owner has lost it: the epoch is
     * given back, and the next capture may begin. The abandoned capture can no longer be made or published.
     */
    public synchronized void abandonCapture() {
        if (outstanding != null) {
            outstanding.close();
        }
        claim = null;
    }

    /**
     * Takes out what changed since the parent. The guest may run; then what is written meanwhile is in this epoch, the
     * next, or both. Watching goes on without a gap. When a source fails the epoch says that anything may have
     * changed; nothing is thrown for that.
     */
    public synchronized Epoch harvest() throws CaptureOutstandingException {
        requireIdle();
        return takeEpoch();
    }

    /** Called by the claim. */
    synchronized Epoch harvest(TrackerClaim by) {
        requireClaim(by);
        return takeEpoch();
    }

    /** Called by the claim. */
    synchronized void requireClaim(TrackerClaim by) {
        requireOpen();
        if (claim != by || outstanding != null) {
            throw new IllegalStateException("this capture has ended, or was abandoned; prepare another one");
        }
    }

    /** Called by the claim. */
    synchronized void release(TrackerClaim by) {
        if (claim == by && outstanding == null) {
            claim = null;
        }
    }

    /** Called by the epoch, with the lock held: adds to it what changed since the last harvest. */
    Optional<String> harvestMore(Epoch epoch, DirtyBitmap changed) {
        requireOpen();
        if (outstanding != epoch) {
            throw new IllegalStateException("the epoch has ended");
        }
        changed.requireLayout(layout);
        changed.clear();
        try {
            if (watching) {
                harvestSources(source -> source.harvestAgain(changed));
            }
            String lost = unknownBecause;
            if (lost != null) {
                epoch.lost(lost);
            }
            beginPeriod();
            pending.drainInto(changed);
            return Optional.ofNullable(lost);
        } finally {
            // Whatever is thrown, the epoch gives back what was taken out for it.
            taken.or(changed);
        }
    }

    private Epoch takeEpoch() {
        if (watching) {
            harvestSources(source -> source.harvest(taken));
        }
        // Made before anything is forgotten, for there may be no memory for it.
        Epoch epoch = new Epoch(this, parent, unknownBecause, taken);
        beginPeriod();
        pending.drainInto(taken);
        outstanding = epoch;
        return outstanding;
    }

    /** After a harvest. The new period is known if it is watched from its first moment. */
    private void beginPeriod() {
        unknownBecause = null;
        if (!watching) {
            try {
                armSources();
            } catch (Exception failure) {
                LOG.log(Level.WARNING, "the guest's memory cannot be watched; the capture after this one will have to"
                        + " be full, or compare", failure);
            }
        }
    }

    /**
     * Stops watching and closes the sources. An outstanding epoch may still be read and ended. A second call does
     * nothing.
     */
    @Override
    public synchronized void close() throws IOException {
        if (closed) {
            return;
        }
        closed = true;
        nothingIsKnown("the tracker is closed");
        pending.release();
        if (outstanding == null) {
            taken.release();
        }
        try {
            onAll(sources, DirtySource::close, null);
        } finally {
            sources.forEach(source -> source.ownership().release());
        }
    }

    @Override
    public synchronized String toString() {
        String watched = sources.isEmpty()
                ? "marks alone" : String.join(" and ", sources.stream().map(DirtySource::name).toList());
        return watched + (unknownBecause == null
                ? ", since snapshot " + parent : ", since an unknown state: " + unknownBecause);
    }

    /** Called by the epoch, with the lock held. */
    void committed(Epoch epoch, SnapshotReference published, DirtyBitmap changed) {
        if (outstanding != epoch || closed) {
            return;
        }
        parent = published;
        if (changed != null) {
            tellSources(changed);
        }
        epochEnded();
    }

    /** Called by the epoch, with the lock held. */
    void givenBack(Epoch epoch, String unknownInEpoch) {
        if (outstanding != epoch || closed) {
            return;
        }
        if (unknownInEpoch != null) {
            unknownBecause = unknownInEpoch;
        }
        pending.or(taken);
        epochEnded();
    }

    private void epochEnded() {
        taken.clear();
        outstanding = null;
        claim = null;
    }

    private synchronized void begin(SnapshotReference base, DirtyBitmap changed) throws IOException {
        requireIdle();
        Objects.requireNonNull(base);
        if (changed != null) {
            changed.requireLayout(layout);
        }
        parent = base;
        pending.clear();
        taken.clear();
        if (changed != null) {
            pending.or(changed);
        }
        watching = false;
        unknownBecause = null;
        armSources();
    }

    private void harvestSources(Step harvest) {
        // Holds until all are harvested, whatever is thrown, and where there is no memory left to say why.
        String knownBefore = unknownBecause;
        nothingIsKnown("it could not be harvested");
        String failed = "";
        try {
            for (DirtySource source : sources) {
                failed = source.name();
                harvest.on(source);
            }
            watching = true;
            unknownBecause = knownBefore;
        } catch (Exception failure) {
            if (knownBefore == null) {
                unknownBecause += " from the " + failed + ": " + messageOf(failure);
            }
            LOG.log(Level.WARNING, "what changed in the guest is lost; this capture has to be full, or compare",
                    failure);
        }
    }

    /** All of them watch, or none does and the reason is kept. */
    private void armSources() throws IOException {
        // Holds until all are armed, whatever is thrown, and where there is no memory left to say why.
        String knownBefore = unknownBecause;
        nothingIsKnown("it is not watched, because arming failed");
        String failed = "";
        try {
            for (DirtySource source : sources) {
                failed = source.name();
                source.arm();
            }
            watching = true;
            unknownBecause = knownBefore;
        } catch (Throwable failure) {
            if (knownBefore == null) {
                unknownBecause += " for the " + failed + ": " + messageOf(failure);
            }
            onAll(sources, DirtySource::disarm, failure);
            throw failure;
        }
    }

    /** An exception of a user may throw another one when it is asked. */
    private static String messageOf(Throwable failure) {
        try {
            return failure.getMessage();
        } catch (RuntimeException _) {
            return failure.getClass().getName();
        }
    }

    private void tellSources(DirtyBitmap changed) {
        for (DirtySource source : sources) {
            try {
                source.learn(taken, changed);
            } catch (Throwable failure) {
                // The snapshot is published: nothing that follows may look like its failure.
                LOG.log(Level.WARNING, "the " + source.name() + " did not learn from what changed", failure);
            }
        }
    }

    /** The first reason is the one worth reading. */
    private void nothingIsKnown(String reason) {
        watching = false;
        if (unknownBecause == null) {
            unknownBecause = reason;
        }
    }

    private void requireIdle() throws CaptureOutstandingException {
        requireOpen();
        if (outstanding != null || claim != null) {
            throw new CaptureOutstandingException();
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the tracker is closed");
        }
    }

    private interface Step {
        void on(DirtySource source) throws IOException;
    }

    /** Takes the step with every source, whatever fails, and throws the first failure unless there is one to add to. */
    private static void onAll(List<DirtySource> sources, Step step, Throwable addTo) throws IOException {
        IOException first = null;
        for (DirtySource source : sources) {
            try {
                step.on(source);
            } catch (Throwable failure) {
                if (addTo != null) {
                    addTo.addSuppressed(failure);
                } else if (first != null) {
                    first.addSuppressed(failure);
                } else {
                    first = failure instanceof IOException io ? io
                            : new SnapshotException(source.name() + ": " + messageOf(failure), failure);
                }
            }
        }
        if (first != null) {
            throw first;
        }
    }
}
