/** Runs a small process that resumes a guest when the process that paused it has died. */
package io.microsnap.vmm.internal.guard;
