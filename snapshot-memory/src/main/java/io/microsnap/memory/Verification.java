package io.microsnap.memory;

import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotReference;
import java.util.List;

/**
 * The result of a verification.
 *
 * @param reference the snapshot
 * @param pages how many pages it has
 * @param badCount how many do not match its index
 * @param firstBad the first of those, in ascending order
 */
public record Verification(SnapshotReference reference, long pages, long badCount, List<BadPage> firstBad) {
    /**
     * A page that does not match the index.
     *
     * @param imageOffset its offset in the image
     * @param guestAddress its address in the guest
     * @param heldBy the snapshot whose image holds it
     */
    public record BadPage(long imageOffset, long guestAddress, String heldBy) {
    }

    public Verification {
        firstBad = List.copyOf(firstBad);
    }

    /** Returns whether every page matches the index. */
    public boolean isWhole() {
        return badCount == 0;
    }

    /** Throws an exception that names the first bad page, unless every page matches the index. */
    public void requireWhole() throws DamagedException {
        if (!isWhole()) {
            BadPage first = firstBad.getFirst();
            throw new DamagedException("snapshot " + reference + " is damaged: " + badCount + " of " + pages
                    + " pages do not match its page index, the first at image offset " + first.imageOffset
                    + " (guest address 0x" + Long.toHexString(first.guestAddress) + "), which snapshot " + first.heldBy
                    + " holds; use another snapshot");
        }
    }
}
