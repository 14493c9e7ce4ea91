/** Captures guest memory, restores it, proves it. */
@SuppressWarnings("module") // The modules above this one do not exist yet when it is compiled.
module io.microsnap.memory {
    requires transitive io.microsnap.core;
    requires transitive io.microsnap.dedup;
    requires transitive io.microsnap.dirty;
    requires transitive io.microsnap.store;
    requires chronicle.bytes;
    requires jdk.jfr;

    exports io.microsnap.memory;
    exports io.microsnap.memory.internal.image to io.microsnap.registry, io.microsnap.vmm;
    exports io.microsnap.memory.internal.reader to io.microsnap.vmm;
    exports io.microsnap.memory.internal.state to io.microsnap.registry, io.microsnap.vmm;
}
