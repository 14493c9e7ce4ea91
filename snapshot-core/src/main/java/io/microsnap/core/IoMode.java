package io.microsnap.core;

import java.util.Locale;

/** Says which way the bytes of images go between memory and the disk. */
public enum IoMode {
    /** Through the page cache: the shortest pause, and a later read finds the data in memory. */
    CACHED,
    /**
     * Leaves the page cache as it was. Where the filesystem can drop pages as soon as they are on disk (ext4 and XFS
     * with Linux 6.14 and later), writes only pass through the cache; elsewhere, and for reads, as {@link #DIRECT}.
     */
    UNCACHED,
    /** Between memory and the device without the page cache: every write waits for the device. */
    DIRECT;

    /** Returns the mode's name, in lower case. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
