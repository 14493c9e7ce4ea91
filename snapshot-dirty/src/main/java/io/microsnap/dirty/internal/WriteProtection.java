package io.microsnap.dirty.internal;

import io.microsnap.core.GuestLayout;
import java.io.IOException;

/**
 * Makes writes to guest memory exit, by the hypervisor's protection: {@link ProtectionSource} uses it. Ranges are image
 * offsets on page boundaries; they may span regions, and may already be in the requested state. Several threads call at
 * once; unless the hypervisor documents that it allows this, the implementation serializes the calls.
 */
public interface WriteProtection {
    GuestLayout layout();

    /** Protects pages: after this returns, the next write to each of them exits. */
    void protect(long imageOffset, long lengthBytes) throws IOException;

    /** Unprotects pages: writes to them succeed, including those that exited and will be retried. */
    void allow(long imageOffset, long lengthBytes) throws IOException;
}
