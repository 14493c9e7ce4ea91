/**
 * The one pass over guest bytes. An {@code MemoryWriter} divides the guest among threads; {@code PagePass} looks
 * at each run of pages once, for zeros, differences from a base and checksums; a {@code Sink} writes the runs.
 * {@code ComposedImage} and {@code ImageReads} go the other way: an image and its bases as one guest, read or, by
 * {@code LazyMapping}, mapped.
 */
package io.microsnap.memory.internal.image;
