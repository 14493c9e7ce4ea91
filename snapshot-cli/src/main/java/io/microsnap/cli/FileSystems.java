package io.microsnap.cli;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.OperatingSystem;

/** Names filesystems. */
final class FileSystems {
    private FileSystems() {
    }

    /** Returns the usual name of a type from {@code fstatfs}; the number of an unknown type. */
    static String name(Constants constants, long type) {
        if (constants.operatingSystem() != OperatingSystem.LINUX) {
            return "type " + type;
        }
        return switch ((int) type) {
            case 0xEF53 -> "ext4";
            case 0x58465342 -> "xfs";
            case 0x9123683E -> "btrfs";
            case 0x01021994 -> "tmpfs";
            case 0x794C7630 -> "overlayfs";
            case 0x6969 -> "nfs";
            case 0x2FC12FC1 -> "zfs";
            case 0xCA451A4E -> "bcachefs";
            default -> "0x" + Integer.toHexString((int) type);
        };
    }
}
