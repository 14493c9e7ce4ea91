package io.microsnap.memory;

import java.io.IOException;

/**
 * Gives a restored copy what must not be the same in two machines, before it runs: a new VM generation id in the
 * guest memory or device that holds it, clocks set to now, fresh entropy, addresses and names of its own.
 */
@FunctionalInterface
public interface IdentityRenewal {
    /** Renews nothing: for a machine that is moved, not copied, or whose VMM sees to it itself. */
    IdentityRenewal NONE = restored -> { };

    /**
     * Called once for each restore, before anybody else gets to see the memory; what it throws ends the restore. What
     * it writes to the memory it tells {@link RestoredSnapshot#markWritten}.
     */
    void renew(RestoredSnapshot restored) throws IOException;
}
