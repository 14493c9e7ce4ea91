/** A small process that lets a guest run again when the process that paused it has died. */
package io.microsnap.vmm.internal.guard;
