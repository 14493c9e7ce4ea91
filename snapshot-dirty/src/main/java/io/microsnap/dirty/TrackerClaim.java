package io.microsnap.dirty;

/**
 * Reserves a {@link DirtyTracker} for one capture, from its preparation until its epoch ends: other captures of the
 * guest fail before they touch the machine. Closing it frees the tracker, and so does the end of the epoch.
 */
public final class TrackerClaim implements AutoCloseable {
    private final DirtyTracker tracker;

    TrackerClaim(DirtyTracker tracker) {
        this.tracker = tracker;
    }

    /** Throws {@link IllegalStateException} if the claim has ended or the tracker is closed. Call it before a pause. */
    public void require() {
        tracker.requireClaim(this);
    }

    /** Takes out what changed: see {@link DirtyTracker#harvest}. */
    public Epoch harvest() {
        return tracker.harvest(this);
    }

    /** Frees the tracker, unless an epoch is outstanding, whose end frees it. A second call does nothing. */
    @Override
    public void close() {
        tracker.release(this);
    }
}
