/** Shares between snapshots what is equal in them. */
module io.microsnap.dedup {
    requires transitive io.microsnap.core;
    requires transitive io.microsnap.store;
    requires jdk.jfr;

    exports io.microsnap.dedup;
}
