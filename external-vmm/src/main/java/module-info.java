/** Doors to VMMs in other processes. */
module io.microsnap.vmm {
    requires transitive io.microsnap.core;
    requires transitive io.microsnap.store;
    requires transitive io.microsnap.memory;
    requires io.microsnap.dirty;
    requires com.fasterxml.jackson.core;

    exports io.microsnap.vmm;
}
