package io.microsnap.core;

import java.util.List;

/**
 * A machine that the caller has paused already, with its state.
 *
 * @param saveState what was saved when it was paused
 */
record PausedMachine(List<MachineStateSection> saveState) implements PausableMachine {
    @Override
    public boolean isPausedAlready() {
        return true;
    }

    @Override
    public void pause() {
        // The caller paused it.
    }

    @Override
    public void resume() {
        // The caller resumes it.
    }
}
