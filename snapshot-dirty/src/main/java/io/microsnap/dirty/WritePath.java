package io.microsnap.dirty;

/** The ways by which guest memory changes. Each {@link DirtySource} sees some of them; marks must cover the rest. */
public enum WritePath {
    /** Stores by the guest's processors, and by the hypervisor on their behalf. */
    GUEST,
    /** Stores and system calls such as {@code read} by the watched process, through the watched mapping. */
    MAPPING,
    /** The same memory mapped a second time, in this process or another: a vhost-user device. */
    OTHER_MAPPING,
    /** Writes to the file or memfd behind the memory. */
    FILE,
    /** Discarded pages, which read as zeros from then on: a balloon, a hole punched, {@code MADV_DONTNEED}. */
    DISCARD
}
