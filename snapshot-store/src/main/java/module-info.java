/** The directory of snapshots: written whole or not at all, listed, verified, deleted. */
module io.microsnap.store {
    requires transitive io.microsnap.core;
    requires com.fasterxml.jackson.core;
    requires jdk.jfr;

    exports io.microsnap.store;
}
