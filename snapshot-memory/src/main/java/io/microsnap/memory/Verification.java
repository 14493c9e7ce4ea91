package io.microsnap.memory;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotReference;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.memory.internal.image.ImageReads;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.internal.PageChecks;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Proves that a snapshot is as it was captured: checks every page against its index, through all the bases it needs.
 * This is what was found.
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

    /**
     * Verifies a snapshot: reads everything once. Pages that are not what the index says are found and told; an index,
     * map or other file that is damaged is a {@link DamagedException}, for then there is nothing to hold the pages
     * against.
     */
    public static Verification of(HeldSnapshot held, int threads, Progress progress) throws IOException {
        StoredSnapshot snapshot = (StoredSnapshot) held;
        snapshot.verifyFiles();
        PageChecks checks = new PageChecks(snapshot.pageIndex());
        ImageReads.check(BaseChain.compose(snapshot), checks, threads, progress);
        return result(snapshot, checks);
    }

    static Verification result(StoredSnapshot snapshot, PageChecks checks) throws IOException {
        GuestLayout layout = snapshot.layout();
        ComposedImage composed = BaseChain.compose(snapshot);
        List<BadPage> bad = new ArrayList<>();
        for (long offset : checks.badOffsets()) {
            composed.pieces(offset, 1, (layer, from, length) -> bad.add(new BadPage(
                    offset, layout.guestAddress(offset), composed.layers().get(layer).name())));
        }
        return new Verification(snapshot.reference(), layout.pageCount(), checks.badCount(), bad);
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
