/** Captures guest memory into a snapshot, restores it, verifies it. */
package io.microsnap.memory;
