package io.microsnap.cli;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.OperatingSystem;

/** Filesystems by name. */
final class FileSystems {
    private FileSystems() {
    }

    /** The usual name for what {@code fstatfs} calls a type; the number for one not known here. */
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
