package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import io.microsnap.dirty.DirtyBitmap;
import java.util.Optional;

/** Which pages of a guest are looked at, and which of those are recorded. */
public sealed interface WriteMode {
    /** Names the pages to look at; empty for every page. */
    Optional<DirtyBitmap> pages();

    /** Every page is recorded. */
    record Everything() implements WriteMode {
        @Override
        public Optional<DirtyBitmap> pages() {
            return Optional.empty();
        }
    }

    /**
     * Each page that the bitmap names is recorded, whether or not it differs from the base's. Blocks larger than a page
     * are recorded whole.
     */
    record DirtyPages(DirtyBitmap bitmap) implements WriteMode {
        @Override
        public Optional<DirtyBitmap> pages() {
            return Optional.of(bitmap);
        }
    }

    /**
     * What differs from the base is recorded.
     *
     * @param pages names the pages to compare; empty for every page
     * @param differing receives the pages that differ, from every thread
     */
    record Compare(PageReader base, Optional<DirtyBitmap> pages, RangeConsumer differing) implements WriteMode {
    }
}
