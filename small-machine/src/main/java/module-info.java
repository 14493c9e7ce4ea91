/** A small machine on KVM with guest programs of its own, for the demo, tests and benchmarks. No library. */
module io.microsnap.machine {
    requires transitive io.microsnap.kvm;

    exports io.microsnap.machine;
}
