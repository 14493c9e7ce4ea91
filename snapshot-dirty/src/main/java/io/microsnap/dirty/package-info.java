/**
 * Knows which pages changed since a snapshot. A {@link io.microsnap.dirty.DirtyTracker} unites its
 * {@link io.microsnap.dirty.DirtySource}s, such as KVM's log or a scan of the page map, with what
 * its user marks. A capture takes the changes out as an {@link io.microsnap.dirty.Epoch}, which is committed once the
 * snapshot is durable, or given back.
 */
package io.microsnap.dirty;
