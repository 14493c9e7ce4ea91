package io.microsnap.vmm.internal.qemu;

/** QEMU's migration stream, as far as it is looked at here. */
final class QemuState {
    /** {@code QEVM}. */
    static final int MAGIC = 0x5145564D;

    private QemuState() {
    }
}
