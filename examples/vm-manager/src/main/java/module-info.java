module example.vmmanager {
    requires io.microsnap.memory;
    requires io.microsnap.kvm;
}
