package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.memory.internal.image.ImageReads;
import io.microsnap.store.internal.PageChecks;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Holds what a capture wrote against the guest, which still stands: see {@link Capture#checked}. Both are read once
 * more and compared with the page index, so that this finds also what changed between two looks of the capture itself.
 */
final class CaptureCheck {
    private final Capture plan;
    private final ComposedImage written;
    private final StagedCapture staged;
    private final List<Long> unmarked = new ArrayList<>();
    private final List<Long> changed = new ArrayList<>();
    private final List<Long> damaged = new ArrayList<>();

    /**
     * What is to be held against the guest.
     *
     * @param written the image, with what it needs of its base
     */
    CaptureCheck(Capture plan, ComposedImage written, StagedCapture staged) {
        this.plan = plan;
        this.written = written;
        this.staged = staged;
    }

    /**
     * Throws unless the snapshot is what the guest has.
     *
     * @param named the pages that the pause looked at, because they were known to have changed; empty for all pages
     */
    void require(Optional<DirtyBitmap> named) throws IOException {
        PageChecks ofGuest = new PageChecks(staged.index());
        ImageReads.check(plan.reader, ofGuest, plan.threads, Progress.NONE);
        PageChecks ofImage = new PageChecks(staged.index());
        ImageReads.check(written, ofImage, plan.threads, Progress.NONE);
        for (long offset : ofGuest.badOffsets()) {
            (named.isPresent() && !named.get().test(offset) ? unmarked : changed).add(offset);
        }
        for (long offset : ofImage.badOffsets()) {
            boolean own = staged.map().isEmpty() || staged.map().get().test(offset / written.layout().pageBytes());
            (own ? changed : damaged).add(offset);
        }
        if (ofGuest.badCount() + ofImage.badCount() == 0) {
            return;
        }
        if (!unmarked.isEmpty()) {
            plan.tracker.orElseThrow().invalidate("a checked capture found memory that was written and not marked");
        }
        throw new SnapshotException(plan.id + " would not be what the guest has, where "
                + Math.max(ofGuest.badCount(), ofImage.badCount()) + " pages differ"
                + named(unmarked, "was written, but neither seen nor marked: mark what is written by the ways that the"
                        + " tracker is blind to" + plan.tracker.map(tracker -> ", " + tracker.blindTo()).orElse(""))
                + named(changed, "changed while the machine was paused: pause() has to stop every vCPU, device and"
                        + " worker that writes guest memory")
                + named(damaged, "is damaged in the base: verify that"));
    }

    private String named(List<Long> offsets, String what) {
        if (offsets.isEmpty()) {
            return "";
        }
        GuestLayout layout = written.layout();
        long first = offsets.getFirst();
        return "; the page at image offset " + first + " (guest address 0x"
                + Long.toHexString(layout.guestAddress(first)) + ") " + what;
    }
}
