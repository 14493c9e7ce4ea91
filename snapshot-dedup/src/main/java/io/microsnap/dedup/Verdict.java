package io.microsnap.dedup;

/** How one page of the target compares with the same page of the canonical image. */
enum Verdict {
    /** Both may hold data that was not compared; if there are indexes, the checksums are equal. */
    UNREAD(0),
    /** The canonical image has a hole; the target's data was not tested for zeros. */
    UNREAD_AGAINST_HOLE(1),
    /** Both have a hole. */
    ABSENT(2),
    /** Only the target has a hole. */
    CLEARED(3),
    /** Both use the same blocks. */
    SHARED(4),
    /** The bytes are equal. */
    EQUAL(5),
    /** The bytes differ, or the page is not worth sharing. */
    DIFFERENT(6);

    private static final Verdict[] ALL = values();

    private final byte code;

    Verdict(int code) {
        this.code = (byte) code;
    }

    /** Returns the byte that represents it in memory; codes start at zero without gaps. */
    byte code() {
        return code;
    }

    static Verdict of(byte code) {
        return ALL[code];
    }

    /** Returns whether it may be shared, as far as is known. */
    boolean mayBeShared() {
        return this == EQUAL || isUnread();
    }

    boolean isUnread() {
        return this == UNREAD || this == UNREAD_AGAINST_HOLE;
    }
}
