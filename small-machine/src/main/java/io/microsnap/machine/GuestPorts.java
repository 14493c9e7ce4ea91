package io.microsnap.machine;

/** The ports by which guest programs and the machine speak, 32 bits at a time. */
final class GuestPorts {
    /** Read: zero to go on, {@link #CHECK} to add up memory. */
    static final int WHAT_NEXT = 0xe0;
    /** Written: the program is done. */
    static final int FINISHED = 0xe4;
    /** Written: what it counted in its memory. */
    static final int COUNTED = 0xe8;
    /** Written, after that: what it should have been. */
    static final int EXPECTED = 0xec;

    static final int CHECK = 1;

    private GuestPorts() {
    }
}
