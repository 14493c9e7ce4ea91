package io.microsnap.core;

/** Whether memory is to be made of huge pages. */
public enum HugePages {
    /** Pages of the host's ordinary size, unless the host's own settings say otherwise. */
    NONE,
    /** Where the kernel can: memory is aligned for it and it is asked to; nothing fails where it cannot. */
    TRANSPARENT,
    /** From the pool that the operator has reserved (vm.nr_hugepages); too small a pool fails at once. */
    RESERVED
}
