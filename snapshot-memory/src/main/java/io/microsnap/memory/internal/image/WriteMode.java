package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import io.microsnap.core.RangeConsumer;
import io.microsnap.dirty.DirtyBitmap;
import java.util.Optional;

/** Says which pages of a guest are examined, and which of those are recorded. */
public sealed interface WriteMode {
    /** Returns the pages to examine; empty for every page. */
    Optional<DirtyBitmap> pages();

    /** Every page is recorded. */
    record Everything() implements WriteMode {
        @Override
        public Optional<DirtyBitmap> pages() {
            return Optional.empty();
        }
    }

    /**
     * Every page that the bitmap names is recorded, even if it equals the base's. Blocks larger than a page are
     * recorded whole.
     */
    record DirtyPages(DirtyBitmap bitmap) implements WriteMode {
        @Override
        public Optional<DirtyBitmap> pages() {
            return Optional.of(bitmap);
        }
    }

    /**
     * Pages that differ from the base are recorded.
     *
     * @param pages names the pages to compare; empty for every page
     * @param differing receives the pages that differ; every thread calls it
     */
    record Compare(PageReader base, Optional<DirtyBitmap> pages, RangeConsumer differing) implements WriteMode {
    }
}
