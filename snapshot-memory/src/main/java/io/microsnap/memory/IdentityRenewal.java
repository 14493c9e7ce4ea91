package io.microsnap.memory;

import java.io.IOException;

/**
 * Renews the parts of a restored copy that must differ between machines, before it runs: the VM generation id in the
 * guest memory or device that holds it, the clocks, entropy, addresses and names.
 */
@FunctionalInterface
public interface IdentityRenewal {
    /** Renews nothing: for a machine that is moved, not copied, or whose VMM renews its identity itself. */
    IdentityRenewal NONE = restored -> { };

    /**
     * Renews the identity. Called once for each restore, before the memory is handed out; an exception ends the
     * restore. It must mark its writes to memory with {@link RestoredSnapshot#markWritten}.
     */
    void renew(RestoredSnapshot restored) throws IOException;
}
