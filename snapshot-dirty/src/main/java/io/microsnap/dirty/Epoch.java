package io.microsnap.dirty;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotReference;
import java.util.Objects;
import java.util.Optional;

/**
 * What changed in a guest since one snapshot, taken out of its tracker for the time of one capture. A capture that
 * copies while the guest runs {@linkplain #harvestMore harvests again} into the same epoch. It ends in one of two ways:
 * {@link #commit} when the new snapshot is published, so that what changed from now on is relative to that;
 * {@link #rollback}, or closing it, when there is none, so that the next epoch holds all of this one too. It lives
 * as long as its process and its tracker; nothing of it is on disk.
 *
 * <p>Safe for use by several threads. Ending it never fails, not even when its tracker has been closed meanwhile.
 */
public final class Epoch implements AutoCloseable {
    private enum State { OPEN, COMMITTED, GIVEN_BACK }

    private final DirtyTracker tracker;
    private final SnapshotReference parent;
    private volatile String unknownBecause;
    private final DirtyBitmap bitmap;
    private volatile DirtyBitmap changed;
    private State state = State.OPEN;

    Epoch(DirtyTracker tracker, SnapshotReference parent, String unknownBecause, DirtyBitmap bitmap) {
        this.tracker = tracker;
        this.parent = parent;
        this.unknownBecause = unknownBecause;
        this.bitmap = bitmap;
    }

    /**
     * The snapshot since which the bitmap tells all that changed. Empty when anything may have changed
     * ({@link #unknownBecause} says why): then the capture must be full, or compare every page.
     */
    public Optional<SnapshotReference> relativeTo() {
        return unknownBecause == null ? Optional.of(parent) : Optional.empty();
    }

    /** Why anything may have changed; empty when that is known. */
    public Optional<String> unknownBecause() {
        return Optional.ofNullable(unknownBecause);
    }

    /** The guest's last snapshot, whether or not what changed since is known: the one to compare with. */
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

    /** The largest unit in which the sources reported: above a page, the bitmap may name pages that did not change. */
    public long blockBytes() {
        return tracker.blockBytes();
    }

    /**
     * The pages that changed since {@link #relativeTo}; where that is empty, those known to have changed since the
     * sources were last armed. It is this epoch's own until the epoch ends, and belongs to the tracker after that.
     */
    public DirtyBitmap bitmap() {
        synchronized (tracker) {
            requireOpenLocked();
            return bitmap;
        }
    }

    /**
     * Takes out what changed since the last harvest and adds it to this epoch. The epoch still ends once: it is
     * committed, or given back, with all that its harvests took out. The guest may run; watching goes on without a gap.
     *
     * <p>When a source fails, or the tracker was invalidated since the last harvest, anything may have changed. This
     * epoch is then relative to nothing, and nothing is thrown.
     *
     * @param changed is cleared, and then holds what this harvest took out
     * @return why anything may have changed since the last harvest; empty when the bitmap names all of it
     */
    public Optional<String> harvestMore(DirtyBitmap changed) {
        synchronized (tracker) {
            requireOpenLocked();
            return tracker.harvestMore(this, changed);
        }
    }

    /**
     * Tells which pages of the bitmap had really changed: what a capture found that compared them with the base.
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

    /** The snapshot made of this epoch is published and durable: from now on changes are relative to it. */
    public void commit(SnapshotReference published) {
        synchronized (tracker) {
            requireOpenLocked();
            Objects.requireNonNull(published);
            state = State.COMMITTED;
            tracker.committed(this, published, changed);
        }
    }

    /** No snapshot was made: gives everything back to the tracker, merged with what changed meanwhile. */
    public void rollback() {
        synchronized (tracker) {
            requireOpenLocked();
            state = State.GIVEN_BACK;
            tracker.givenBack(this, unknownBecause);
        }
    }

    /** Rolls back unless the epoch has ended already. */
    @Override
    public void close() {
        synchronized (tracker) {
            if (state == State.OPEN) {
                rollback();
            }
        }
    }

    @Override
    public String toString() {
        return "changes since " + (unknownBecause == null ? parent : "an unknown state (" + unknownBecause + ")");
    }

    /** Throws {@link IllegalStateException} when the epoch has ended: there is nothing to commit any more. */
    public void requireOpen() {
        synchronized (tracker) {
            requireOpenLocked();
        }
    }

    /** Called by the tracker. The first reason is the one worth reading. */
    void lost(String reason) {
        if (unknownBecause == null) {
            unknownBecause = reason;
        }
    }

    private void requireOpenLocked() {
        switch (state) {
            case OPEN -> { }
            case COMMITTED -> throw new IllegalStateException("the epoch is committed");
            case GIVEN_BACK -> throw new IllegalStateException("the epoch is given back: its capture was abandoned");
        }
    }
}
