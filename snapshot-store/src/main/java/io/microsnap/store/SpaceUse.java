package io.microsnap.store;

import java.util.OptionalLong;

/**
 * What a snapshot takes.
 *
 * @param logicalBytes the lengths of its files
 * @param allocatedBytes what the filesystem has given them; blocks shared with others count in full
 * @param exclusiveBytes what deleting it would free, where the filesystem tells
 */
public record SpaceUse(long logicalBytes, long allocatedBytes, OptionalLong exclusiveBytes) {
}
