/** Knows Cloud Hypervisor: its API, and the table of ranges in its memory file. */
package io.microsnap.vmm.internal.cloud;
