package io.microsnap.machine;

/** The ports through which guest programs and the machine communicate, 32 bits at a time. */
final class GuestPorts {
    /** Read: zero to continue, {@link #CHECK} to add up memory. */
    static final int WHAT_NEXT = 0xe0;
    /** Written: the program has finished. */
    static final int FINISHED = 0xe4;
    /** Written: the sum of its memory. */
    static final int COUNTED = 0xe8;
    /** Written after that: the expected sum. */
    static final int EXPECTED = 0xec;

    static final int CHECK = 1;

    private GuestPorts() {
    }
}
