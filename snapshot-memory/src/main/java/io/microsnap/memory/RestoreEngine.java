package io.microsnap.memory;

import java.util.Locale;

/** Says where a restored guest's memory comes from. */
public enum RestoreEngine {
    /**
     * Maps the image, and its bases where it needs them: private to this process, read from the page cache or the disk
     * when touched. Takes about a millisecond, whatever the guest's size. Pages that are only read are shared with
     * every other guest restored from the same image.
     */
    LAZY,
    /** Reads everything into anonymous memory first. */
    EAGER,
    /** Reads everything into a memfd that other processes can share, such as vhost-user devices. */
    MEMFD;

    String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
