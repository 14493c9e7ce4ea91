/** Talks to other VMMs: Unix sockets with time limits, QMP, HTTP, bounded JSON. */
package io.microsnap.vmm.internal.wire;
