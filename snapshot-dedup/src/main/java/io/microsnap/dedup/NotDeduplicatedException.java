package io.microsnap.dedup;

import java.io.IOException;

/** Ends a deduplication that has changed nothing, or nothing visible. */
final class NotDeduplicatedException extends IOException {
    private static final long serialVersionUID = 1L;

    private final DedupOutcome.Reason reason;

    NotDeduplicatedException(DedupOutcome.Reason reason, String explanation) {
        super(explanation);
        this.reason = reason;
    }

    DedupOutcome.Reason reason() {
        return reason;
    }
}
