/**
 * Chooses the sibling of a snapshot. {@code SiblingChoice} looks at the snapshots of the same guest image, version,
 * size and layout, and {@code IndexLikeness} estimates from their page indexes how much they share, without reading
 * images.
 */
package io.microsnap.dedup.internal;
