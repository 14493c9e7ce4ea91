/** Guests on macOS's Hypervisor.framework. */
module io.microsnap.hvf {
    requires transitive io.microsnap.core;
    requires transitive io.microsnap.dirty;

    exports io.microsnap.hvf;
}
