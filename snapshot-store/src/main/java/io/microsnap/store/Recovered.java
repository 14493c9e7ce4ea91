package io.microsnap.store;

/**
 * What recovery found in a store.
 *
 * @param removed pieces of unfinished work whose owners died
 * @param freedBytes what those occupied; blocks that others share are counted and not freed
 * @param alive pieces of work that somebody still does
 */
public record Recovered(int removed, long freedBytes, int alive) {
    /** Nothing was found. */
    public static final Recovered NOTHING = new Recovered(0, 0, 0);

    /** Both together: what was removed adds up, and who is alive the later one knows. */
    public Recovered and(Recovered later) {
        return new Recovered(removed + later.removed, freedBytes + later.freedBytes, later.alive);
    }
}
