/** Knows QEMU: where its RAM lies, how to save and load its device state, how to start a copy. */
package io.microsnap.vmm.internal.qemu;
