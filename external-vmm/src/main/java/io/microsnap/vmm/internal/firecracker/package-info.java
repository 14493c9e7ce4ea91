/** Knows Firecracker: its API, where its guests have RAM, its snapshot files. */
package io.microsnap.vmm.internal.firecracker;
