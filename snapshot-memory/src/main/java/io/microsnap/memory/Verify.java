package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Progress;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.memory.internal.image.ImageReads;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.internal.PageChecks;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** Proves that a snapshot is what was captured: every page against its index, through all the bases it needs. */
public final class Verify {
    private Verify() {
    }

    /**
     * Reads everything once. Pages that are not what the index says are found and told; an index, map or other file
     * that is damaged is a {@code DamagedException}, for then there is nothing to hold the pages against.
     */
    public static Verification snapshot(HeldSnapshot held, int threads, Progress progress) throws IOException {
        StoredSnapshot snapshot = (StoredSnapshot) held;
        snapshot.verifyFiles();
        PageChecks checks = new PageChecks(snapshot.pageIndex());
        ImageReads.check(Held.compose(snapshot), checks, threads, progress);
        return result(snapshot, checks);
    }

    static Verification result(StoredSnapshot snapshot, PageChecks checks) throws IOException {
        GuestLayout layout = snapshot.layout();
        ComposedImage composed = Held.compose(snapshot);
        List<Verification.BadPage> bad = new ArrayList<>();
        for (long offset : checks.badOffsets()) {
            composed.pieces(offset, 1, (layer, from, length) -> bad.add(new Verification.BadPage(
                    offset, layout.guestAddress(offset), composed.layers().get(layer).name())));
        }
        return new Verification(snapshot.reference(), layout.pageCount(), checks.badCount(), bad);
    }
}
