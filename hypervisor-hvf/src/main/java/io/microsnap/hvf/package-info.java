/** Guests of macOS Hypervisor.framework: their memory, what they wrote, their machine state. */
package io.microsnap.hvf;
