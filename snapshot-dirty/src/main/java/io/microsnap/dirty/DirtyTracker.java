package io.microsnap.dirty;

import io.microsnap.core.BusyException;
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
 * Knows what changed in one guest since its last snapshot: the union of any number of {@link DirtySource}s and of its
 * users' marks. Captures {@linkplain #claim claim} it and take {@link Epoch}s from it, one at a time.
 *
 * <p>Two states are independent. The sources <em>watch</em> from {@link #arm} or the first harvest on, until a source
 * fails, a caller calls {@link #invalidate}, or the tracker is closed. The changes since the last snapshot are
 * <em>known</em> if the sources watched without interruption since that snapshot's moment. Once the changes are unknown
 * they stay unknown until a capture that does not need them has been published. Each epoch says whether its changes are
 * known, and if not, why.
 *
 * <p>Users promise to mark every write to guest memory that the sources are {@linkplain #blindTo blind to}, after
 * writing the memory and before acknowledging the write, and every discard likewise.
 *
 * <p>Safe for use by any number of threads. Marks never wait.
 */
public final class DirtyTracker implements AutoCloseable {
    private static final Logger LOG = System.getLogger(DirtyTracker.class.getName());

    private final GuestLayout layout;
    private final List<DirtySource> sources;
    /** The marks since the last harvest, and epochs that were given back. */
    private final DirtyBitmap pending;
    /** The pages of the outstanding epoch; clean if there is none. */
    private final DirtyBitmap taken;

    private SnapshotReference parent;
    private String unknownBecause = "no snapshot of this guest has been made or restored here yet";
    private boolean watching;
    private boolean closed;
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

    /** Takes ownership of all sources, or of none. */
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

    /** Returns a tracker of explicit marks alone: for a guest whose user makes, and marks, every write. */
    public static DirtyTracker ofMarks(GuestLayout layout) {
        return new DirtyTracker(layout, List.of());
    }

    /**
     * Returns a tracker that unites sources and explicit marks. The tracker owns the sources and closes them. Throws
     * {@link IllegalStateException} if another tracker owns a source.
     */
    public static DirtyTracker of(GuestLayout layout, DirtySource... sources) {
        return new DirtyTracker(layout, List.of(sources));
    }

    /** Returns the layout of the guest. */
    public GuestLayout layout() {
        return layout;
    }

    /** Returns the largest unit in which a source reports; bitmaps are always of pages. */
    public long blockBytes() {
        return sources.stream().mapToLong(DirtySource::blockBytes).reduce(layout.pageBytes(), Math::max);
    }

    /** Returns the ways of writing that no source sees; the user must mark such writes. */
    public Set<WritePath> blindTo() {
        Set<WritePath> blind = EnumSet.allOf(WritePath.class);
        sources.forEach(source -> blind.retainAll(source.blindTo()));
        return blind;
    }

    /** Returns the guest's last snapshot: the one last committed, or the one it was restored from. */
    public synchronized Optional<SnapshotReference> parent() {
        return Optional.ofNullable(parent);
    }

    /**
     * Returns why the next epoch cannot tell what changed since the parent; empty if it can.
     */
    public synchronized Optional<String> unknownBecause() {
        return Optional.ofNullable(unknownBecause);
    }

    /**
     * Makes the sources watch, if they do not already. Call it before a pause, while the guest runs: changes from here
     * to the harvest belong to that harvest's epoch. Without this call the harvest arms the sources, during the pause.
     * After a failure no source watches.
     */
    public synchronized void arm() throws IOException {
        requireOpen();
        if (!watching) {
            armSources();
        }
    }

    /**
     * Starts again from a snapshot whose memory the guest has at this moment, without later writes: after a restore.
     * The first epoch will be relative to it. If a source cannot be armed, this throws, and the changes since the
     * snapshot stay unknown.
     */
    public void armRelativeTo(SnapshotReference base) throws IOException {
        begin(base, null);
    }

    /**
     * Starts again from a snapshot whose memory the guest has at this moment, except for the given pages: see {@link
     * #armRelativeTo(SnapshotReference)}.
     *
     * @param base the snapshot
     * @param changed the pages that differ from it already, which this copies; nothing else may be written until this
     * returns
     */
    public void armRelativeTo(SnapshotReference base, DirtyBitmap changed) throws IOException {
        begin(base, Objects.requireNonNull(changed));
    }

    /** Marks a range that was written in a way that the sources do not see. Write first, then mark. */
    public void markWritten(long imageOffset, long lengthBytes) {
        // Bits that are already set are only read. Without the fence they could be read before the write is visible; a
        // harvest in between would then take the bits and the capture would copy the old memory.
        VarHandle.fullFence();
        pending.mark(imageOffset, lengthBytes);
    }

    /** Marks a range that was discarded and now reads as zeros. Discard first, then mark. */
    public void markDiscarded(long imageOffset, long lengthBytes) {
        markWritten(imageOffset, lengthBytes);
    }

    /**
     * Declares that the sources may have missed something: a slot was added, moved or removed, or a vCPU ran unwatched.
     * The next epoch will not be relative to any snapshot, and the sources are armed afresh. The caller must not change
     * the machine in such ways during a harvest.
     */
    public synchronized void invalidate(String reason) {
        nothingIsKnown(Objects.requireNonNull(reason));
    }

    /**
     * Reserves the tracker for one capture, from its preparation on: until the epoch ends, no other caller may harvest,
     * claim or restart the tracker, so other captures of the guest fail before they touch the machine. Marks, {@link
     * #arm} and {@link #invalidate} stay possible.
     */
    public synchronized Epoch claim() throws BusyException {
        requireIdle();
        outstanding = new Epoch(this, parent, taken);
        return outstanding;
    }

    /**
     * Abandons the capture that claimed the tracker, if its owner has lost it. The epoch is given back, and the next
     * capture may begin. The abandoned capture can no longer be taken or published.
     */
    public synchronized void abandonCapture() {
        if (outstanding != null) {
            outstanding.close();
        }
    }

    /** Claims the tracker and at once takes out what changed since the parent: see {@link Epoch#harvest}. */
    public synchronized Epoch harvest() throws BusyException {
        Epoch epoch = claim();
        try {
            epoch.harvest();
            return epoch;
        } catch (Throwable failure) {
            epoch.close();
            throw failure;
        }
    }

    /** Called by the epoch, with the lock held: takes out what changed since the parent. */
    void harvestInto(Epoch epoch) {
        if (watching) {
            harvestSources(source -> source.harvest(taken));
        }
        // Set first, so that the epoch gives back what it has whatever is thrown.
        epoch.harvested(unknownBecause);
        beginPeriod();
        pending.drainInto(taken);
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
            // Added first, so that the epoch gives these pages back whatever is thrown.
            taken.or(changed);
        }
    }

    /** Begins the period after a harvest. Its changes are known if the sources watch it from its first moment. */
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
        if (outstanding == null || !outstanding.isHarvested()) {
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

    /** Called by the epoch, with the lock held: it ends before anything was harvested. */
    void unclaimed(Epoch epoch) {
        if (outstanding == epoch) {
            outstanding = null;
        }
    }

    private void epochEnded() {
        taken.clear();
        outstanding = null;
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
        // Set in advance, so that it holds until all are harvested, whatever is thrown, even without memory for the
        // reason.
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

    /** Arms all sources, or none, and then keeps the reason. */
    private void armSources() throws IOException {
        // Set in advance, so that it holds until all are armed, whatever is thrown, even without memory for the reason.
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

    /** Returns the failure's message. The exception may be a user's class, whose {@code getMessage} may throw. */
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
                // The snapshot is published: a later failure must not look like its failure.
                LOG.log(Level.WARNING, "the " + source.name() + " did not learn from what changed", failure);
            }
        }
    }

    /** Keeps only the first reason: later ones are consequences. */
    private void nothingIsKnown(String reason) {
        watching = false;
        if (unknownBecause == null) {
            unknownBecause = reason;
        }
    }

    private void requireIdle() throws BusyException {
        requireOpen();
        if (outstanding != null) {
            throw new BusyException("an earlier capture of this guest is not yet published; publish or close it, then"
                    + " capture again (if it is lost, call abandonCapture() on the tracker)");
        }
    }

    /** Also called by the epoch, with the lock held. */
    void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the tracker is closed");
        }
    }

    private interface Step {
        void on(DirtySource source) throws IOException;
    }

    /** Performs the step on every source, whatever fails. Adds failures to the given one, or else throws the first. */
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
