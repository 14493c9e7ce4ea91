/** Looks at a VMM's process through Linux, and shares scratch files with it. */
package io.microsnap.vmm.internal.host;
