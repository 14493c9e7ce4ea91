package io.microsnap.memory.internal.image;

import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Which lanes still look, so that the last one finishes index and map. Whoever publishes them would do it, but now
 * there is time, for the image takes a while yet.
 */
final class Looking {
    private final AtomicInteger lanes;
    private final PageIndex index;
    private final PageMap map;
    private final AtomicBoolean finished = new AtomicBoolean();

    /**
     * Of so many lanes that look until there is nothing left; the one that also writes comes and goes.
     *
     * @param index null for an image without one
     * @param map null for an image without one
     */
    Looking(int lanes, PageIndex index, PageMap map) {
        this.lanes = new AtomicInteger(lanes);
        this.index = index;
        this.map = map;
    }

    /** One more is about to take a chunk. */
    void begun() {
        lanes.incrementAndGet();
    }

    /** It has looked at its chunk. */
    void paused() {
        lanes.decrementAndGet();
    }

    /** One found no chunk left. Whoever begins after the last one has ended will find none either. */
    void ended() throws IOException {
        if (lanes.decrementAndGet() > 0 || !finished.compareAndSet(false, true)) {
            return;
        }
        if (index != null) {
            index.finish();
        }
        if (map != null) {
            map.finish();
        }
    }
}
