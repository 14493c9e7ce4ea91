package io.microsnap.memory;

import io.microsnap.core.SnapshotReference;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.store.Manifest;
import java.time.Duration;
import java.util.Optional;

/**
 * A snapshot that was published, and what it cost.
 *
 * @param manifest the snapshot
 * @param kind how it was kept; never {@link CaptureKind#AUTOMATIC}
 * @param because why it was kept so, and how it was known what changed: for a person
 * @param memory what the writing of memory came to, during the pause
 * @param copiedAhead what was copied before the pause; empty where nothing was to be
 * @param punchedBytes zeros that became holes after the pause
 * @param times how long each part took
 * @param dedup what came of sharing blocks with a sibling afterwards; empty for a snapshot that is not full
 */
public record CaptureResult(Manifest manifest, CaptureKind kind, String because, MemoryWritten memory,
        Optional<CopiedAhead> copiedAhead, long punchedBytes, Times times, Optional<DedupOutcome> dedup) {
    /**
     * How long each part took.
     *
     * @param prepare while the machine ran: staging, clone, copy of the index, arming
     * @param pause from the request to pause until the machine went on; the parts that follow lie in it
     * @param state saving the machine's state
     * @param harvest asking the dirty tracker
     * @param memory writing memory to the page cache
     * @param attachments cloning or copying them
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

    /** How many bytes were handed to the filesystem, before the pause and during it. */
    public long bytesWritten() {
        return memory.bytesWritten() + copiedAhead.map(CopiedAhead::bytesCopied).orElse(0L);
    }

    /** Names the snapshot. */
    public SnapshotReference reference() {
        return manifest.reference();
    }
}
