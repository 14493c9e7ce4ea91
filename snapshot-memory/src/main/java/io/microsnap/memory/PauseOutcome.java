package io.microsnap.memory;

import io.microsnap.core.MachineStateSection;
import io.microsnap.dirty.Epoch;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * What a pause brought.
 *
 * @param basis how the capture is kept, with what is known about it by now
 * @param epoch what the tracker knew to have changed; empty without a tracker
 */
record PauseOutcome(Basis basis, List<MachineStateSection> sections, Optional<Epoch> epoch, MemoryWritten memory,
        Optional<CopiedAhead> copiedAhead, CaptureResult.Times times) {
    PauseOutcome paused(Duration duration) {
        return new PauseOutcome(basis, sections, epoch, memory, copiedAhead, times.paused(duration));
    }
}
