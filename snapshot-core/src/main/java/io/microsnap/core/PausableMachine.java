package io.microsnap.core;

import java.io.IOException;
import java.util.List;

/**
 * What a capture asks of the machine it captures. Each is called in the thread that captures.
 *
 * <p>Captures of one machine exclude each other: from before {@link #pause} until after {@link #resume} a capture holds
 * the monitor of this object, and another one waits for it. Hand the same object to every capture of a machine. A
 * thread that {@code pause} waits for must not need that monitor.
 */
public interface PausableMachine {
    /**
     * Stops whatever writes guest memory: every vCPU, every device, DMA and vhost worker. Once this has been called,
     * {@link #resume} will be, exactly once, whatever fails, this call included.
     */
    void pause() throws IOException;

    /**
     * The machine's state beside its memory. Called while paused and before memory is read, because saving some state
     * writes guest memory.
     */
    List<MachineStateSection> saveState() throws IOException;

    /** Lets the machine go on. */
    void resume() throws IOException;

    /**
     * Returns whether the machine stands still before {@link #pause}. A capture then leaves out what would only prolong
     * the stop, such as making the code of a pause ready.
     */
    default boolean isPausedAlready() {
        return false;
    }

    /** A machine that somebody else has paused, and resumes when the capture is done. */
    static PausableMachine pausedAlready(List<MachineStateSection> state) {
        return new PausedMachine(List.copyOf(state));
    }
}
