package io.microsnap.dirty.internal;

import io.microsnap.core.GuestLayout;
import java.io.IOException;

/**
 * A hypervisor's power to make writes to guest memory exit: what a {@link ProtectionSource} stands on. Ranges are image
 * offsets on page boundaries, may span regions, and may repeat what is so already. Calls come from several threads at
 * once; where the hypervisor does not say that it bears that, the implementation takes turns.
 */
public interface WriteProtection {
    GuestLayout layout();

    /** From when this returns on, the next write to each of these pages exits. */
    void protect(long imageOffset, long lengthBytes) throws IOException;

    /** Lets writes to these pages through, including those that exited and will be tried again. */
    void allow(long imageOffset, long lengthBytes) throws IOException;
}
