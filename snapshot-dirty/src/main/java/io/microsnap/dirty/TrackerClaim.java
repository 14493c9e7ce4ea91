package io.microsnap.dirty;

/**
 * Keeps a {@link DirtyTracker} for one capture, from its preparation until its epoch ends: other captures of the guest
 * are refused before they touch the machine. Closing it frees the tracker; the end of the epoch does so, too.
 */
public final class TrackerClaim implements AutoCloseable {
    private final DirtyTracker tracker;

    TrackerClaim(DirtyTracker tracker) {
        this.tracker = tracker;
    }

    /** Throws {@link IllegalStateException} when the claim has ended or the tracker is closed: before a pause. */
    public void require() {
        tracker.requireClaim(this);
    }

    /** Takes out what changed: see {@link DirtyTracker#harvest}. */
    public Epoch harvest() {
        return tracker.harvest(this);
    }

    /** Frees the tracker, unless an epoch is outstanding: that one's end frees it. A second call does nothing. */
    @Override
    public void close() {
        tracker.release(this);
    }
}
