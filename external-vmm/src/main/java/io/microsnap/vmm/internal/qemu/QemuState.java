package io.microsnap.vmm.internal.qemu;

/** The start of QEMU's migration stream. */
final class QemuState {
    /** {@code QEVM}. */
    static final int MAGIC = 0x5145564D;

    private QemuState() {
    }
}
