/** Shares between snapshots what is equal in them. */
@SuppressWarnings("module") // The modules above this one do not exist yet when it is compiled.
module io.microsnap.dedup {
    requires transitive io.microsnap.core;
    requires transitive io.microsnap.store;
    requires jdk.jfr;

    exports io.microsnap.dedup;
    exports io.microsnap.dedup.internal to io.microsnap.memory, io.microsnap.registry;
}
