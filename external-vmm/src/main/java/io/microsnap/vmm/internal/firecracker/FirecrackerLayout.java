package io.microsnap.vmm.internal.firecracker;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import java.util.ArrayList;
import java.util.List;

/** Computes the layout of RAM in Firecracker's guests. */
public final class FirecrackerLayout {
    private static final long GIB = 1L << 30;
    private static final long MIB = 1L << 20;
    private static final long MOST_BYTES = 64L << 40;

    private FirecrackerLayout() {
    }

    /** Returns the layout of this much RAM, on x86-64 or AArch64. */
    public static GuestLayout of(Version version, boolean arm, long sizeBytes, int pageBytes)
            throws SnapshotException {
        if (sizeBytes <= 0 || sizeBytes % pageBytes != 0 || sizeBytes > MOST_BYTES) {
            throw new SnapshotException("a Firecracker guest of " + sizeBytes
                    + " bytes of RAM, not a whole number of pages of " + pageBytes);
        }
        List<Region> regions = new ArrayList<>();
        long left = sizeBytes;
        for (Region place : places(version, arm)) {
            long length = Math.min(left, place.lengthBytes());
            if (length > 0) {
                regions.add(new Region(place.guestAddress(), length));
                left -= length;
            }
        }
        return GuestLayout.of(pageBytes, regions);
    }

    private static List<Region> places(Version version, boolean arm) {
        Region highest = new Region(512 * GIB, MOST_BYTES);
        if (arm) {
            return List.of(new Region(2 * GIB, 254 * GIB), highest);
        }
        if (!version.hasWideGap()) {
            return List.of(new Region(0, 4 * GIB - 768 * MIB), new Region(4 * GIB, MOST_BYTES));
        }
        return List.of(new Region(0, 3 * GIB), new Region(4 * GIB, 252 * GIB), highest);
    }
}
