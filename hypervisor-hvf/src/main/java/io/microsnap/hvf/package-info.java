/**
 * Guests of macOS's Hypervisor.framework on Apple silicon: their memory, what they wrote, their state, and the threads
 * of their vCPUs. {@link io.microsnap.hvf.HvfGuest} is all of it in one object.
 */
package io.microsnap.hvf;
