package io.microsnap.dedup;

/** What is known of one page of the target in comparison with the same page of the canonical image. */
enum Verdict {
    /** Both may hold data that nobody has compared; if there are indexes, they do not tell a difference. */
    UNREAD(0),
    /** The canonical image has a hole; whether the target's data is zeros, nobody has looked. */
    UNREAD_AGAINST_HOLE(1),
    /** A hole in both. */
    ABSENT(2),
    /** A hole in the target alone. */
    CLEARED(3),
    /** The very same blocks. */
    SHARED(4),
    /** The same bytes. */
    EQUAL(5),
    /** Other bytes, or not worth sharing. */
    DIFFERENT(6),
    /** Nobody has looked, but what lies around it differs: not to be tried before it was read. */
    SUSPECTED(7);

    private static final Verdict[] ALL = values();

    private final byte code;

    Verdict(int code) {
        this.code = (byte) code;
    }

    /** What stands for it in memory; from zero on, without gaps. */
    byte code() {
        return code;
    }

    static Verdict of(byte code) {
        return ALL[code];
    }

    /** Whether it may be shared, as far as is known. */
    boolean mayBeShared() {
        return this == EQUAL || isUnread();
    }

    boolean isUnread() {
        return this == UNREAD || this == UNREAD_AGAINST_HOLE || this == SUSPECTED;
    }
}
