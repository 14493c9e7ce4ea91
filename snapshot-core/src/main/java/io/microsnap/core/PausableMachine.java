package io.microsnap.core;

import java.io.IOException;
import java.util.List;

/**
 * Pauses, saves and resumes a machine for a capture. The capturing thread makes each call.
 *
 * <p>Captures of one machine exclude each other: from before {@link #pause} until after {@link #resume} a capture holds
 * the monitor of this object, and another one waits for it. Hand the same object to every capture of a machine. A
 * thread that {@code pause} waits for must not need that monitor.
 */
public interface PausableMachine {
    /**
     * Stops everything that writes guest memory: every vCPU, device, DMA and vhost worker. After this call the capture
     * calls {@link #resume} exactly once, whatever fails, also when this call fails.
     */
    void pause() throws IOException;

    /**
     * Returns the machine's state beside its memory. Called while paused and before memory is read, because saving some
     * state writes guest memory.
     */
    List<MachineStateSection> saveState() throws IOException;

    /** Resumes the machine. */
    void resume() throws IOException;

    /**
     * Returns whether the machine stands still before {@link #pause}. A capture then leaves out what would only prolong
     * the stop, such as making the code of a pause ready.
     */
    default boolean isPausedAlready() {
        return false;
    }

    /** Returns a machine that the caller has paused already and resumes after the capture. */
    static PausableMachine pausedAlready(List<MachineStateSection> state) {
        return new PausedMachine(List.copyOf(state));
    }
}
