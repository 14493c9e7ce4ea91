/** What is QEMU's alone: where its RAM lies, its device state's way out and in, its command line. */
package io.microsnap.vmm.internal.qemu;
