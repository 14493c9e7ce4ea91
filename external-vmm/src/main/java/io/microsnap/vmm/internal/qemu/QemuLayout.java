package io.microsnap.vmm.internal.qemu;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import java.util.List;

/** Computes the layout of RAM in QEMU's machines: low up to a limit, and the rest from 4 GiB on. */
public final class QemuLayout {
    private static final long GIB = 1L << 30;
    private static final long START_OF_HIGH_RAM = 4 * GIB;
    private static final long PC_LOW_IF_SPLIT = 3 * GIB;
    private static final long Q35_LOWEST_SPLIT = 0xB000_0000L;
    private static final long Q35_LOW_IF_SPLIT = 2 * GIB;

    private QemuLayout() {
    }

    /**
     * Returns the layout of one backend's RAM.
     *
     * @param machine the machine's versioned name, such as {@code pc-q35-7.2}
     * @param lowLimit the machine's {@code max-ram-below-4g}; negative if it has none
     */
    public static GuestLayout of(String machine, long sizeBytes, long lowLimit, int pageBytes)
            throws SnapshotException {
        if (sizeBytes <= 0 || sizeBytes % pageBytes != 0) {
            throw new SnapshotException("QEMU says that its RAM has " + sizeBytes
                    + " bytes, which is no whole number of pages of " + pageBytes);
        }
        long low = Math.min(sizeBytes, lowBytes(machine, sizeBytes, lowLimit));
        if (low <= 0 || low % pageBytes != 0) {
            throw new SnapshotException("QEMU says that at most " + lowLimit
                    + " bytes of RAM lie below 4 GiB, which is no whole number of pages of " + pageBytes);
        }
        return GuestLayout.of(pageBytes, low == sizeBytes ? List.of(new Region(0, sizeBytes))
                : List.of(new Region(0, low), new Region(START_OF_HIGH_RAM, sizeBytes - low)));
    }

    private static long lowBytes(String machine, long sizeBytes, long lowLimit) throws SnapshotException {
        if (machine.startsWith("pc-i440fx-")) {
            long limit = lowLimit > 0 ? lowLimit : 0xE000_0000L;
            return sizeBytes >= limit ? Math.min(limit, PC_LOW_IF_SPLIT) : sizeBytes;
        }
        if (machine.startsWith("pc-q35-")) {
            long low = sizeBytes >= Q35_LOWEST_SPLIT ? Q35_LOW_IF_SPLIT : Q35_LOWEST_SPLIT;
            return lowLimit > 0 ? Math.min(low, lowLimit) : low;
        }
        if (machine.equals("microvm")) {
            return PC_LOW_IF_SPLIT;
        }
        throw new SnapshotException("the RAM layout of the machine type '" + machine + "' is unknown: known are pc,"
                + " q35 and microvm. Stop the guest over QMP, and bake its file with --ram and --region");
    }
}
