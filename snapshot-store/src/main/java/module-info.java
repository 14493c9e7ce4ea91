/** The directory of snapshots: written whole or not at all, listed, verified, deleted. */
@SuppressWarnings("module") // The modules above this one do not exist yet when it is compiled.
module io.microsnap.store {
    requires transitive io.microsnap.core;
    requires com.fasterxml.jackson.core;
    requires jdk.jfr;

    exports io.microsnap.store;
    exports io.microsnap.store.internal to
            io.microsnap.memory, io.microsnap.dedup, io.microsnap.registry, io.microsnap.vmm;
}
