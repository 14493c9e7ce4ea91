package io.microsnap.core.internal.file;

import java.time.Duration;

/**
 * The result of a copy.
 *
 * @param method how it was made
 * @param sizeBytes the length of the file
 * @param dataBytes how much of it was moved; nothing for a clone
 * @param elapsed how long it took, syncs included
 */
public record CopyResult(CopyMethod method, long sizeBytes, long dataBytes, Duration elapsed) {
}
