package io.microsnap.memory;

import io.microsnap.core.SnapshotReference;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.store.Manifest;
import java.time.Duration;
import java.util.Optional;

/**
 * A published snapshot and the cost of its capture.
 *
 * @param manifest the snapshot
 * @param kind how it was stored; never {@link CaptureKind#AUTOMATIC}
 * @param because why it was stored so, and how the changes were known: for a person
 * @param memory counts of the memory written during the pause
 * @param copiedAhead what was copied before the pause; empty if that was not requested
 * @param punchedBytes zeros that became holes after the pause
 * @param times how long each part took
 * @param dedup the outcome of sharing blocks with a sibling afterwards; empty for a snapshot that is not full
 */
public record CaptureResult(Manifest manifest, CaptureKind kind, String because, MemoryWritten memory,
        Optional<CopiedAhead> copiedAhead, long punchedBytes, Times times, Optional<DedupOutcome> dedup) {
    /**
     * How long each part took.
     *
     * @param prepare while the machine ran: staging, clone, copy of the index, arming
     * @param pause from the request to pause until the machine resumed; it contains the four parts that follow
     * @param state saving the machine's state
     * @param harvest harvesting the dirty tracker
     * @param memory writing memory to the page cache
     * @param attachments cloning or copying the attachments
     * @param publish while the machine ran again: made durable, then visible
     */
    public record Times(Duration prepare, Duration pause, Duration state, Duration harvest, Duration memory,
            Duration attachments, Duration publish) {
        Times paused(Duration duration) {
            return new Times(prepare, duration, state, harvest, memory, attachments, publish);
        }

        Times published(Duration duration) {
            return new Times(prepare, pause, state, harvest, memory, attachments, duration);
        }
    }

    CaptureResult with(DedupOutcome outcome) {
        return new CaptureResult(
                manifest, kind, because, memory, copiedAhead, punchedBytes, times, Optional.of(outcome));
    }

    /** Returns how many bytes were written to the filesystem, before the pause and during it. */
    public long bytesWritten() {
        return memory.bytesWritten() + copiedAhead.map(CopiedAhead::bytesCopied).orElse(0L);
    }

    /** Names the snapshot. */
    public SnapshotReference reference() {
        return manifest.reference();
    }
}
