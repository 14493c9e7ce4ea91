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

/**
 * Proves that a snapshot is as it was captured: checks every page against its index, through all the bases it needs.
 */
public final class Verify {
    private Verify() {
    }

    /**
     * Reads everything once and reports pages that do not match the index. Throws {@code DamagedException} if an index,
     * map or other file is damaged, because then nothing is left to check the pages against.
     */
    public static Verification snapshot(HeldSnapshot held, int threads, Progress progress) throws IOException {
        StoredSnapshot snapshot = (StoredSnapshot) held;
        snapshot.verifyFiles();
        PageChecks checks = new PageChecks(snapshot.pageIndex());
        ImageReads.check(BaseChain.compose(snapshot), checks, threads, progress);
        return result(snapshot, checks);
    }

    static Verification result(StoredSnapshot snapshot, PageChecks checks) throws IOException {
        GuestLayout layout = snapshot.layout();
        ComposedImage composed = BaseChain.compose(snapshot);
        List<Verification.BadPage> bad = new ArrayList<>();
        for (long offset : checks.badOffsets()) {
            composed.pieces(offset, 1, (layer, from, length) -> bad.add(new Verification.BadPage(
                    offset, layout.guestAddress(offset), composed.layers().get(layer).name())));
        }
        return new Verification(snapshot.reference(), layout.pageCount(), checks.badCount(), bad);
    }
}
