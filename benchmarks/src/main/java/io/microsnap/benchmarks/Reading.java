package io.microsnap.benchmarks;

/**
 * Something that was measured beside a row's own value: the medians over all pairs.
 *
 * @param peer what the peer needed, or {@link #NONE}
 */
record Reading(String name, Unit unit, long ours, long peer) {
    /** Stands for a value that was not measured. */
    static final long NONE = -1;

    String text() {
        return name + " " + unit.text(ours) + (peer == NONE ? "" : " (peer " + unit.text(peer) + ")");
    }
}
