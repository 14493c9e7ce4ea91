package io.microsnap.dedup;

import java.util.Optional;

/** What came of a deduplication. Whatever it was, the target holds the bytes it held before. */
public sealed interface DedupOutcome {
    /** The target shares blocks with the canonical image now. */
    record Deduplicated(DedupReport report) implements DedupOutcome {
    }

    /**
     * The target was left as it was.
     *
     * @param reason why, for a program
     * @param explanation why, for a person
     * @param report what was found out before, if anything was
     */
    record LeftAlone(Reason reason, String explanation, Optional<DedupReport> report) implements DedupOutcome {
    }

    /** Something went wrong, and the target was left as it was. Only where an exception would not be welcome. */
    record Failed(Exception cause) implements DedupOutcome {
    }

    /** Why a target was left alone. */
    enum Reason {
        /** Sharing after a bake is switched off. */
        SWITCHED_OFF,
        /** The store has no other snapshot of the same image, size and layout. */
        NO_SIBLING,
        /** The sibling is gone. */
        SIBLING_GONE,
        /** The target is gone. */
        TARGET_GONE,
        /** Another process has been deduplicating the same image for longer than this one would wait. */
        BUSY,
        /** The time that a bake allows for it was up; what was shared by then stays shared. */
        OUT_OF_TIME,
        /** These files, or this filesystem, cannot share blocks. */
        UNSUPPORTED,
        /** Both are one file. */
        SAME_FILE,
        /** One of them is a directory, a device or the like. */
        NO_PLAIN_FILE,
        /** Images of different lengths. */
        DIFFERENT_LENGTH,
        /** An image of no bytes. */
        EMPTY,
        /** All that could be shared is shared. */
        ALREADY_SHARED,
        /** Too few pages are equal for it to pay. */
        TOO_FEW_EQUAL,
        /** It would break the image into so many extents that later reads would suffer. */
        TOO_FRAGMENTED,
        /** It has more than one name, and swapping would leave the others with the old file. */
        OTHER_NAMES,
        /** The image must stay the same file, and this system cannot share blocks in place. */
        IN_USE,
        /** The target was written meanwhile. */
        TARGET_CHANGED,
        /** The canonical image was written meanwhile. */
        CANONICAL_CHANGED
    }
}
