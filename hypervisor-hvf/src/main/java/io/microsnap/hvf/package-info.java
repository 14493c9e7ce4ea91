/** Where guests of macOS Hypervisor.framework belong: their memory, what they wrote, their state. Empty as yet. */
package io.microsnap.hvf;
