package io.microsnap.hvf;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.dirty.internal.WriteProtection;
import io.microsnap.hvf.internal.binding.HvReturn;
import io.microsnap.hvf.internal.binding.HypervisorException;
import io.microsnap.hvf.internal.binding.HypervisorFramework;
import io.microsnap.hvf.internal.binding.Numbers;
import java.io.IOException;

/**
 * Protects guest memory in the second stage of translation. It is undocumented whether several threads may call {@code
 * hv_vm_protect}, so calls are serialized.
 */
final class GuestProtection implements WriteProtection {
    private static final long PROTECTED = Numbers.HV_MEMORY_READ | Numbers.HV_MEMORY_EXEC;
    private static final long WRITABLE = PROTECTED | Numbers.HV_MEMORY_WRITE;

    private final HypervisorFramework framework;
    private final GuestLayout layout;

    GuestProtection(HypervisorFramework framework, GuestLayout layout) {
        this.framework = framework;
        this.layout = layout;
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public void protect(long imageOffset, long lengthBytes) throws IOException {
        change(imageOffset, lengthBytes, PROTECTED);
    }

    @Override
    public void allow(long imageOffset, long lengthBytes) throws IOException {
        change(imageOffset, lengthBytes, WRITABLE);
    }

    /** Changes a range of the image. The framework takes guest addresses, so this makes one call for each region. */
    private synchronized void change(long imageOffset, long lengthBytes, long flags) throws IOException {
        long end = Math.min(imageOffset + lengthBytes, layout.lengthBytes());
        long from = imageOffset;
        while (from < end) {
            int number = layout.regionAt(from);
            Region region = layout.regions().get(number);
            long inRegion = from - layout.imageOffset(number);
            long bytes = Math.min(end - from, region.lengthBytes() - inRegion);
            long address = region.guestAddress() + inRegion;
            int result = framework.hv_vm_protect(address, bytes, flags);
            if (result != HvReturn.HV_SUCCESS.number()) {
                throw HypervisorException.of(result, "hv_vm_protect", "of " + bytes + " bytes at guest address 0x"
                        + Long.toHexString(address));
            }
            from += bytes;
        }
    }
}
