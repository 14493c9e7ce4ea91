package io.microsnap.core;

import java.util.List;

/**
 * A machine that stands still already, with its state.
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
        // Somebody else did.
    }

    @Override
    public void resume() {
        // Somebody else will.
    }
}
