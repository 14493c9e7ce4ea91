package io.microsnap.store;

import java.time.Instant;

/**
 * Describes which part of a snapshot its restored guests touch, as recordings found it. A restore may read that part
 * ahead.
 *
 * @param pages how many pages are in the set
 * @param pageBytes how long a page is
 * @param recordings how many recordings it was learned from; at most the last eight count
 * @param recorded when the last recording was added, or the set came into this store
 */
public record WorkingSet(long pages, int pageBytes, int recordings, Instant recorded) {
    /** Returns how much guest memory the set covers. */
    public long lengthBytes() {
        return pages * pageBytes;
    }
}
