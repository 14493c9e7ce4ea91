package io.microsnap.dirty;

import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Lets one tracker at a time own a {@link DirtySource}: two trackers would take changes away from each other. Sources
 * that read the same log of a hypervisor share one. Safe for use by any number of threads.
 */
public final class SourceOwnership {
    private final AtomicBoolean owned = new AtomicBoolean();

    /** Makes an ownership without an owner: one for each log that can be read. */
    public SourceOwnership() {
    }

    void take(DirtySource source) {
        if (!owned.compareAndSet(false, true)) {
            throw new IllegalStateException("the " + source.name() + " belongs to a tracker already, and two would take"
                    + " changes away from each other; use that tracker, or close it first");
        }
    }

    void release() {
        owned.set(false);
    }
}
