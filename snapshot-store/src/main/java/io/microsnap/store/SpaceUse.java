package io.microsnap.store;

import java.util.OptionalLong;

/**
 * The space that a snapshot takes.
 *
 * @param logicalBytes the lengths of its files
 * @param allocatedBytes what the filesystem has allocated for them; blocks shared with other files count in full
 * @param exclusiveBytes what deleting it would free; empty where the filesystem does not tell
 */
public record SpaceUse(long logicalBytes, long allocatedBytes, OptionalLong exclusiveBytes) {
}
