package io.microsnap.dedup;

import java.util.Optional;

/** The outcome of a deduplication. In each case the target holds the same bytes as before. */
public sealed interface DedupOutcome {
    /** The target now shares blocks with the canonical image. */
    record Deduplicated(DedupReport report) implements DedupOutcome {
    }

    /**
     * The target was left as it was.
     *
     * @param reason why, for a program
     * @param explanation why, for a person
     * @param report the findings until then, if there are any
     */
    record LeftAlone(Reason reason, String explanation, Optional<DedupReport> report) implements DedupOutcome {
    }

    /** Something failed, and the target was left as it was. Used where an exception must not be thrown. */
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
        /** The time that a bake allows was up; what was shared in place by then stays shared. */
        OUT_OF_TIME,
        /** These files, or this filesystem, cannot share blocks. */
        UNSUPPORTED,
        /** Both are one file. */
        SAME_FILE,
        /** One of them is a directory, a device or the like. */
        NO_PLAIN_FILE,
        /** The images have different lengths. */
        DIFFERENT_LENGTH,
        /** An image is empty. */
        EMPTY,
        /** Everything that could be shared is shared already. */
        ALREADY_SHARED,
        /** Too few pages are equal to make sharing worthwhile. */
        TOO_FEW_EQUAL,
        /** Sharing would split the image into so many extents that later reads would suffer. */
        TOO_FRAGMENTED,
        /** It has more than one name, and swapping would leave the others with the old file. */
        OTHER_NAMES,
        /** Sharing in place was asked for, and would show zeros to a process that has the image mapped. */
        IN_USE,
        /** The target was written meanwhile. */
        TARGET_CHANGED,
        /** The canonical image was written meanwhile. */
        CANONICAL_CHANGED
    }
}
