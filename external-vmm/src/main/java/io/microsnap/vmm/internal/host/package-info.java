/** What Linux tells of a VMM's process, and the scratch files that are shared with it. */
package io.microsnap.vmm.internal.host;
