package io.microsnap.memory;

import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotReference;
import java.util.List;

/**
 * What a verification found.
 *
 * @param reference the snapshot
 * @param pages how many pages it has
 * @param badCount how many are not what its index says
 * @param firstBad the first of those, in order
 */
public record Verification(SnapshotReference reference, long pages, long badCount, List<BadPage> firstBad) {
    /**
     * A page that is not what the index says.
     *
     * @param imageOffset where it lies in the image
     * @param guestAddress where the guest sees it
     * @param heldBy the snapshot whose image holds it
     */
    public record BadPage(long imageOffset, long guestAddress, String heldBy) {
    }

    public Verification {
        firstBad = List.copyOf(firstBad);
    }

    /** Whether every page is right. */
    public boolean isWhole() {
        return badCount == 0;
    }

    /** Throws, naming the first bad page, unless every page is right. */
    public void requireWhole() throws DamagedException {
        if (!isWhole()) {
            BadPage first = firstBad.getFirst();
            throw new DamagedException("snapshot " + reference + " is damaged: " + badCount + " of " + pages
                    + " pages are not what its page index says, the first at image offset " + first.imageOffset
                    + " (guest address 0x" + Long.toHexString(first.guestAddress) + "), which snapshot " + first.heldBy
                    + " holds; restore another one");
        }
    }
}
