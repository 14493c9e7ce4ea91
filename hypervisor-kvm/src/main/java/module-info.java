/** Guests on KVM. */
module io.microsnap.kvm {
    requires transitive io.microsnap.core;
    requires transitive io.microsnap.dirty;
    requires org.agrona;

    exports io.microsnap.kvm;
    exports io.microsnap.kvm.machine;
}
