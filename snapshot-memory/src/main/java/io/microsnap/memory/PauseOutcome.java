package io.microsnap.memory;

import io.microsnap.core.MachineStateSection;
import io.microsnap.dirty.Epoch;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * The results of a pause.
 *
 * @param basis how the capture is stored, as known by now
 * @param epoch the changes that the tracker named; empty without a tracker
 */
record PauseOutcome(Basis basis, List<MachineStateSection> sections, Optional<Epoch> epoch, MemoryWritten memory,
        Optional<CopiedAhead> copiedAhead, CaptureResult.Times times) {
    PauseOutcome paused(Duration duration) {
        return new PauseOutcome(basis, sections, epoch, memory, copiedAhead, times.paused(duration));
    }
}
