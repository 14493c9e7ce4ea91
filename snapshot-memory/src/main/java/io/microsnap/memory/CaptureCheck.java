package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.dirty.Epoch;
import io.microsnap.memory.internal.image.ComposedImage;
import io.microsnap.memory.internal.image.ImageReads;
import io.microsnap.store.internal.PageChecks;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Holds what a capture wrote against the guest, which still stands: see {@link Capture#checked}. Both are read once
 * more and compared with the page index, so that this finds also what changed between two looks of the capture itself.
 */
final class CaptureCheck {
    private final Capture plan;
    private final ComposedImage written;
    private final PageIndex index;
    private final PageMap recorded;
    private final List<Long> unmarked = new ArrayList<>();
    private final List<Long> changed = new ArrayList<>();
    private final List<Long> damaged = new ArrayList<>();

    /**
     * What is to be held against the guest.
     *
     * @param written the image, with what it needs of its base
     * @param index its checksums
     * @param recorded the pages that it does not share with a base; null where there is none
     */
    CaptureCheck(Capture plan, ComposedImage written, PageIndex index, PageMap recorded) {
        this.recorded = recorded;
        this.plan = plan;
        this.written = written;
        this.index = index;
    }

    /**
     * Throws unless the snapshot is what the guest has.
     *
     * @param epoch what was known to have changed; null where nothing was
     */
    void require(Epoch epoch) throws IOException {
        PageChecks ofGuest = new PageChecks(index);
        ImageReads.check(plan.reader, ofGuest, plan.lanes, Progress.NONE);
        PageChecks ofImage = new PageChecks(index);
        ImageReads.check(written, ofImage, plan.lanes, Progress.NONE);
        for (long offset : ofGuest.badOffsets()) {
            boolean known = epoch != null && epoch.relativeTo().isPresent();
            (known && !epoch.bitmap().test(offset) ? unmarked : changed).add(offset);
        }
        for (long offset : ofImage.badOffsets()) {
            boolean own = recorded == null || recorded.test(offset / written.layout().pageBytes());
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
