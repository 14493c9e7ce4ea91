/**
 * The words that all modules share. Start with {@link io.microsnap.core.GuestLayout}: the regions of a guest, and the
 * image offsets at which they lie end to end. {@link io.microsnap.core.GuestMemory} is a layout with the host mappings
 * behind it, and a {@link io.microsnap.core.PageReader} gives a capture the bytes at an image offset.
 * {@link io.microsnap.core.PausableMachine} is what a capture asks of a machine. Failures are
 * {@link io.microsnap.core.SnapshotException}s, or the exceptions of {@code java.nio.file} where those fit.
 */
package io.microsnap.core;
