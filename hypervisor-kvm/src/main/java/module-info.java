/** Guests on KVM. */
@SuppressWarnings("module") // The modules above this one do not exist yet when it is compiled.
module io.microsnap.kvm {
    requires transitive io.microsnap.core;
    requires transitive io.microsnap.dirty;
    requires org.agrona;

    exports io.microsnap.kvm;
    exports io.microsnap.kvm.internal.abi to io.microsnap.machine;
}
