package io.microsnap.store;

/**
 * What recovery found in a store.
 *
 * @param removed pieces of unfinished work whose owners died
 * @param freedBytes what those occupied; blocks shared with other files are counted but not freed
 * @param alive pieces of work whose owners are alive
 */
public record Recovered(int removed, long freedBytes, int alive) {
    /** Nothing was found. */
    public static final Recovered NOTHING = new Recovered(0, 0, 0);

    /** Combines two results: removals add up, and the number of living owners comes from the later one. */
    public Recovered and(Recovered later) {
        return new Recovered(removed + later.removed, freedBytes + later.freedBytes, later.alive);
    }
}
