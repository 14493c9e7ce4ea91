package io.microsnap.dedup.internal;

import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import java.io.IOException;
import java.util.Optional;

/**
 * The store's knowledge of an image that needs no reading.
 *
 * @param index the checksums of the composed guest
 * @param own which pages the image holds itself; empty if it holds them all
 */
public record IndexEvidence(PageIndex index, Optional<PageMap> own) {
    /**
     * Returns the end of the run from this page of which the image holds either every page or none; at most the limit.
     */
    public long runEnd(long page, long limit) throws IOException {
        if (own.isEmpty()) {
            return limit;
        }
        return Math.min(limit, holds(page) ? own.get().nextClear(page) : own.get().nextMarked(page));
    }

    /** Returns whether this page's index entry describes the image itself and not one of its bases. */
    public boolean holds(long page) throws IOException {
        return own.isEmpty() || own.get().test(page);
    }
}
