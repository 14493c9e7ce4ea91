package io.microsnap.dedup;

import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What a deduplication found and did.
 *
 * @param engine the engine; empty if the work ended before one was chosen
 * @param sibling the canonical image in the store and why it was chosen; empty for plain files
 * @param logicalBytes the image's length
 * @param pageBytes the size of a page
 * @param pages how the pages compare
 * @param sharedBytes how much was newly shared
 * @param before the target's space before, if measured
 * @param after the target's space now, if measured
 * @param freeBytesBefore free space of the filesystem before, where measured
 * @param freeBytesAfter free space of the filesystem now, where measured
 * @param time how long it took
 */
public record DedupReport(Optional<Engine> engine, Optional<Sibling> sibling, long logicalBytes, int pageBytes,
        Pages pages, long sharedBytes, Optional<SpaceTaken> before, Optional<SpaceTaken> after,
        OptionalLong freeBytesBefore, OptionalLong freeBytesAfter, Time time) {
    /**
     * How the target's pages compare with the canonical image's.
     *
     * @param all how many there are
     * @param read how many were read to compare them; holes and pages that indexes tell apart need no reading
     * @param alreadyShared pages that were in the same blocks before
     * @param equal equal pages in separate blocks
     * @param different pages that differ, or are not worth sharing
     * @param written how many of the different ones were written into a clone
     */
    public record Pages(long all, long read, long alreadyShared, long equal, long different, long written) {
    }

    /**
     * The space that a file takes.
     *
     * @param allocatedBytes as the filesystem reports; blocks shared with other files count in full
     * @param exclusiveBytes the bytes that removing it would free
     * @param sharedBytes the bytes that other files use, too
     * @param extents in how many extents
     */
    public record SpaceTaken(long allocatedBytes, long exclusiveBytes, long sharedBytes, long extents) {
    }

    /**
     * Where the time went.
     *
     * @param comparing comparing
     * @param sharing sharing blocks, or building the clone
     * @param publishing making it durable and putting it in place
     * @param total all of it, measuring included
     */
    public record Time(Duration comparing, Duration sharing, Duration publishing, Duration total) {
    }

    DedupReport withSibling(Sibling chosen) {
        return new DedupReport(engine, Optional.of(chosen), logicalBytes, pageBytes, pages, sharedBytes, before, after,
                freeBytesBefore, freeBytesAfter, time);
    }
}
