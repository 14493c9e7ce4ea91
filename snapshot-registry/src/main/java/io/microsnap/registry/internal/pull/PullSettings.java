package io.microsnap.registry.internal.pull;

import io.microsnap.core.Progress;

/**
 * How a pull works.
 *
 * @param transfers requests that run at the same time
 * @param progress receives the progress
 */
public record PullSettings(int transfers, Progress progress) {
}
