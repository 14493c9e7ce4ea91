package io.microsnap.registry.internal.pull;

import io.microsnap.core.Progress;

/**
 * How a pull works.
 *
 * @param transfers requests that are under way at a time
 * @param progress hears of it
 */
public record PullSettings(int transfers, Progress progress) {
}
