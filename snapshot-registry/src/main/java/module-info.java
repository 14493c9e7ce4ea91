/** Brings snapshots into OCI registries and out of them. */
module io.microsnap.registry {
    requires transitive io.microsnap.core;
    requires transitive io.microsnap.store;
    requires io.microsnap.dedup;
    requires com.fasterxml.jackson.core;
    requires com.github.luben.zstd_jni;
    requires java.net.http;

    exports io.microsnap.registry;
}
