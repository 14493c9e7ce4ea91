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
 * Compares the captured image with the guest, which is still paused: see {@link Capture#checked}. It reads both once
 * more and compares them with the page index, so it also finds pages that changed between two reads of the capture
 * itself.
 */
final class CaptureCheck {
    private final Capture plan;
    private final ComposedImage written;
    private final StagedCapture staged;
    private final List<Long> unmarked = new ArrayList<>();
    private final List<Long> changed = new ArrayList<>();
    private final List<Long> damaged = new ArrayList<>();

    /**
     * Prepares the comparison.
     *
     * @param written the image, with what it needs of its base
     */
    CaptureCheck(Capture plan, ComposedImage written, StagedCapture staged) {
        this.plan = plan;
        this.written = written;
        this.staged = staged;
    }

    /**
     * Throws unless the snapshot equals the guest's memory.
     *
     * @param named the pages that the pause examined because they were known to have changed; empty for all pages
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
        throw new SnapshotException(plan.id + " would differ from the guest's memory: "
                + Math.max(ofGuest.badCount(), ofImage.badCount()) + " pages differ" + named(unmarked, "was written,"
                + " but neither seen nor marked: mark writes that the tracker is blind"
                + " to" + plan.tracker.map(tracker -> ", " + tracker.blindTo()).orElse(""))
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
