/** The words that captures, hypervisors and stores share and, internally, files and the operating system. */
@SuppressWarnings("module") // The modules above this one do not exist yet when it is compiled.
module io.microsnap.core {
    requires jdk.jfr;

    exports io.microsnap.core;
    exports io.microsnap.core.internal.file to
            io.microsnap.dirty, io.microsnap.store, io.microsnap.memory, io.microsnap.dedup, io.microsnap.kvm,
            io.microsnap.hvf, io.microsnap.registry, io.microsnap.machine, io.microsnap.vmm;
    exports io.microsnap.core.internal.posix to
            io.microsnap.dirty, io.microsnap.store, io.microsnap.memory, io.microsnap.dedup, io.microsnap.kvm,
            io.microsnap.hvf, io.microsnap.registry, io.microsnap.machine, io.microsnap.vmm;
    exports io.microsnap.core.internal.work to
            io.microsnap.dirty, io.microsnap.store, io.microsnap.memory, io.microsnap.dedup, io.microsnap.kvm,
            io.microsnap.hvf, io.microsnap.registry, io.microsnap.machine, io.microsnap.vmm;
}
