package io.microsnap.registry.internal.push;

import io.microsnap.core.Progress;

/**
 * How a push works.
 *
 * @param level of compression
 * @param threads that compress
 * @param transfers packs that are sent at the same time
 * @param progress receives the progress
 */
public record PushSettings(int level, int threads, int transfers, Progress progress) {
}
