package io.microsnap.core;

/** Says whether memory is made of huge pages. */
public enum HugePages {
    /** Pages of the host's ordinary size, unless the host's own settings say otherwise. */
    NONE,
    /**
     * Huge pages where the kernel has them: memory is aligned for them and the kernel is asked. Nothing fails where it
     * has none.
     */
    TRANSPARENT,
    /**
     * Huge pages from the pool that the operator reserved (vm.nr_hugepages). Where the pool is too small, allocation
     * fails at once.
     */
    RESERVED
}
