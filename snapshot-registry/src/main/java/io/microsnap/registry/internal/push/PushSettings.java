package io.microsnap.registry.internal.push;

import io.microsnap.core.Progress;

/**
 * How a push works.
 *
 * @param level of compression
 * @param threads that compress
 * @param transfers packs that are under way at a time
 * @param progress hears of it
 */
public record PushSettings(int level, int threads, int transfers, Progress progress) {
}
