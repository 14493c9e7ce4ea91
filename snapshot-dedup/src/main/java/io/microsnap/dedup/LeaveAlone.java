package io.microsnap.dedup;

import java.io.IOException;

/** Ends a deduplication that has changed nothing, or nothing that anybody could tell. */
final class LeaveAlone extends IOException {
    private static final long serialVersionUID = 1L;

    private final DedupOutcome.Reason reason;

    LeaveAlone(DedupOutcome.Reason reason, String explanation) {
        super(explanation);
        this.reason = reason;
    }

    DedupOutcome.Reason reason() {
        return reason;
    }
}
