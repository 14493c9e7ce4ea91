package io.microsnap.dirty;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotReference;
import java.util.Objects;
import java.util.Optional;

/**
 * What changed in a guest since one snapshot, taken out of its tracker for the time of one capture. It begins when a
 * capture {@linkplain DirtyTracker#claim claims} the tracker and is empty until {@link #harvest}. A capture that copies
 * while the guest runs {@linkplain #harvestMore harvests again} into the same epoch. It ends in one of two ways:
 * with {@link #commit} once the new snapshot is published, so that later changes are relative to that; or with {@link
 * #rollback}, or closing, if there is no snapshot, so that the next epoch also holds all of this one. It exists only in
 * its process and ends with its tracker; it is never on disk.
 *
 * <p>Safe for use by several threads. Ending it never fails, not even when its tracker has been closed meanwhile.
 */
public final class Epoch implements AutoCloseable {
    private enum State { CLAIMED, HARVESTED, COMMITTED, GIVEN_BACK }

    private final DirtyTracker tracker;
    private final SnapshotReference parent;
    private volatile String unknownBecause = "nothing was harvested yet";
    private final DirtyBitmap bitmap;
    private volatile DirtyBitmap changed;
    private State state = State.CLAIMED;

    Epoch(DirtyTracker tracker, SnapshotReference parent, DirtyBitmap bitmap) {
        this.tracker = tracker;
        this.parent = parent;
        this.bitmap = bitmap;
    }

    /**
     * Takes out what changed since the parent, once. The guest may run; writes made meanwhile are then in this epoch,
     * the next, or both. Watching continues without a gap. If a source fails, this does not throw: the epoch says that
     * anything may have changed.
     */
    public void harvest() {
        synchronized (tracker) {
            requireOpenLocked();
            if (state == State.HARVESTED) {
                throw new IllegalStateException("the epoch was harvested already; call harvestMore");
            }
            tracker.harvestInto(this);
        }
    }

    /**
     * Returns the snapshot since which the bitmap names all changes. Empty if anything may have changed ({@link
     * #unknownBecause} says why): then the capture must be full, or compare every page.
     */
    public Optional<SnapshotReference> relativeTo() {
        return unknownBecause == null ? Optional.of(parent) : Optional.empty();
    }

    /** Returns why anything may have changed; empty if the changes are known. */
    public Optional<String> unknownBecause() {
        return Optional.ofNullable(unknownBecause);
    }

    /** Returns the guest's last snapshot, even if the changes since it are unknown: the one to compare with. */
    public Optional<SnapshotReference> parent() {
        return Optional.ofNullable(parent);
    }

    /** Refuses every snapshot but the one that this epoch is relative to, and says what to capture against. */
    public void requireRelativeTo(SnapshotReference base) throws SnapshotException {
        if (unknownBecause != null) {
            throw new OtherBaseException(unknownBecause, base);
        }
        if (!parent.equals(base)) {
            throw new OtherBaseException(parent, base);
        }
    }

    /**
     * Returns the largest unit in which the sources reported: above a page, the bitmap may name pages that did not
     * change.
     */
    public long blockBytes() {
        return tracker.blockBytes();
    }

    /**
     * Returns the pages that changed since {@link #relativeTo}; where that is empty, those known to have changed since
     * the sources were last armed. The bitmap belongs to this epoch until the epoch ends, and to the tracker after
     * that.
     */
    public DirtyBitmap bitmap() {
        synchronized (tracker) {
            requireHarvested();
            return bitmap;
        }
    }

    /**
     * Takes out what changed since the last harvest and adds it to this epoch. The epoch still ends once: all its
     * harvests are committed or given back together. The guest may run; watching continues without a gap.
     *
     * <p>If a source fails, or the tracker was invalidated since the last harvest, anything may have changed. The epoch
     * is then relative to no snapshot, and this does not throw.
     *
     * @param changed is cleared, and then receives the pages of this harvest
     * @return why anything may have changed since the last harvest; empty when the bitmap names all of it
     */
    public Optional<String> harvestMore(DirtyBitmap changed) {
        synchronized (tracker) {
            requireHarvested();
            return tracker.harvestMore(this, changed);
        }
    }

    /**
     * Records which pages of the bitmap had really changed, as found by a capture that compared them with the base.
     * Sources that report in blocks learn from it when the epoch is committed.
     */
    public void tellChanged(DirtyBitmap pages) {
        pages.requireLayout(tracker.layout());
        if (pages.blockBytes() != pages.layout().pageBytes()) {
            throw new IllegalArgumentException("blocks of " + pages.blockBytes() + " bytes do not tell which pages of "
                    + pages.layout().pageBytes() + " changed");
        }
        changed = pages;
    }

    /**
     * Ends the epoch after its snapshot is published and durable: from now on changes are relative to that snapshot.
     */
    public void commit(SnapshotReference published) {
        synchronized (tracker) {
            requireHarvested();
            Objects.requireNonNull(published);
            state = State.COMMITTED;
            tracker.committed(this, published, changed);
        }
    }

    /** Ends the epoch without a snapshot: gives everything back to the tracker, merged with later changes. */
    public void rollback() {
        synchronized (tracker) {
            if (!isOpen()) {
                requireOpenLocked();
            }
            State before = state;
            state = State.GIVEN_BACK;
            if (before == State.CLAIMED) {
                tracker.unclaimed(this);
            } else {
                tracker.givenBack(this, unknownBecause);
            }
        }
    }

    /** Rolls back unless the epoch has ended already. */
    @Override
    public void close() {
        synchronized (tracker) {
            if (isOpen()) {
                rollback();
            }
        }
    }

    @Override
    public String toString() {
        return "changes since " + (unknownBecause == null ? parent : "an unknown state (" + unknownBecause + ")");
    }

    /**
     * Throws {@link IllegalStateException} if the epoch has ended, because nothing is left to commit, or if nothing was
     * harvested yet and the tracker is closed. Call it before a pause.
     */
    public void requireOpen() {
        synchronized (tracker) {
            requireOpenLocked();
        }
    }

    /** Called by the tracker, with its lock held. */
    void harvested(String unknown) {
        unknownBecause = unknown;
        state = State.HARVESTED;
    }

    /** Called by the tracker, with its lock held. */
    boolean isHarvested() {
        return state == State.HARVESTED;
    }

    /** Called by the tracker. Keeps only the first reason: later ones are consequences. */
    void lost(String reason) {
        if (unknownBecause == null) {
            unknownBecause = reason;
        }
    }

    private boolean isOpen() {
        return state == State.CLAIMED || state == State.HARVESTED;
    }

    private void requireHarvested() {
        requireOpenLocked();
        if (state == State.CLAIMED) {
            throw new IllegalStateException("nothing was harvested into the epoch yet");
        }
    }

    private void requireOpenLocked() {
        switch (state) {
            case CLAIMED -> tracker.requireOpen();
            case HARVESTED -> { }
            case COMMITTED -> throw new IllegalStateException("the epoch is committed");
            case GIVEN_BACK -> throw new IllegalStateException("the epoch is given back: its capture has ended, or"
                    + " was abandoned; begin another one");
        }
    }
}
