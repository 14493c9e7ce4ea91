package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.Epoch;
import io.microsnap.memory.internal.image.OpenedImage;
import io.microsnap.memory.internal.image.Pace;
import io.microsnap.memory.internal.image.WriteMode;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.util.Optional;

/**
 * Copies a guest's memory into the staged snapshot, in passes: the rounds ahead of the pause, and the one during it. A
 * pass harvests the changes into the capture's one epoch, and then writes them. A page that the guest writes while a
 * pass copies it is torn; the next harvest names it, because sources watch again before the copying begins.
 */
final class MemoryCopy {
    private static final RangeConsumer NOBODY = (offset, lengthBytes) -> { };

    private final Capture plan;
    private final GuestLayout layout;
    private final Optional<StoredSnapshot> base;
    private final StagedCapture staged;
    /** The pages of the latest harvest, unless it was the first. */
    private final Optional<DirtyBitmap> latest;
    /** The pages that really differed from the base, if sources report in blocks. */
    private Optional<DirtyBitmap> differing = Optional.empty();
    private final Optional<Epoch> epoch;
    private boolean harvested;
    private Optional<String> lost = Optional.empty();
    private Optional<DirtyBitmap> named = Optional.empty();
    private boolean written;
    private boolean lookedAtEverything;
    private long pagesAgain;
    private long pagesDamagedInBase;
    private String remark = "";

    /**
     * Makes a copy that has not begun.
     *
     * @param epoch takes every harvest; empty without a tracker
     * @param base what the image is compared with, or was cloned from; empty for a full capture
     */
    MemoryCopy(Capture plan, Optional<Epoch> epoch, Optional<StoredSnapshot> base, StagedCapture staged) {
        this.plan = plan;
        this.epoch = epoch;
        this.base = base;
        this.staged = staged;
        layout = plan.reader.layout();
        latest = plan.copyAhead.map(asked -> DirtyBitmap.of(layout));
    }

    /** Takes out what the guest wrote since the last harvest, or since its last snapshot. */
    void harvest() {
        if (harvested) {
            lost = epoch.orElseThrow().harvestMore(latest.orElseThrow());
        } else if (epoch.isPresent()) {
            epoch.get().harvest();
            harvested = true;
        }
    }

    /** Takes out what the guest wrote since the last harvest. Throws if any of it is unknown. */
    void harvestRound() throws SnapshotException {
        boolean again = harvested;
        long before = again ? epoch.orElseThrow().bitmap().count() : 0;
        harvest();
        if (lost.isPresent()) {
            throw new SnapshotException(plan.id + " cannot be copied ahead of the pause any further: the guest's"
                    + " writes since the last round are unknown, because " + lost.get()
                    + "; capture again, which looks at every page");
        }
        if (again) {
            long pages = latest.orElseThrow().count();
            pagesAgain = lookedAtEverything ? pages : before + pages - epoch.orElseThrow().bitmap().count();
        }
    }

    /** Writes the pages of the last harvest; in the first pass everything, if the changes are unknown. */
    MemoryWritten write(Pace pace) throws IOException {
        try (Closing opened = new Closing()) {
            WriteMode mode = written ? laterMode(opened) : firstMode(opened);
            written = true;
            named = mode.pages();
            MemoryWritten result = staged.writer().write(plan.reader, mode, pace);
            pagesDamagedInBase += result.pagesDamagedInBase();
            return result;
        }
    }

    /** Returns the pages that the last pass examined; empty for all of them. */
    Optional<DirtyBitmap> named() {
        return named;
    }

    /** Returns how many pages of the last round an earlier one had examined, too. */
    long pagesAgain() {
        return pagesAgain;
    }

    /** Returns how many pages of the base were found damaged, in all passes. */
    long pagesDamagedInBase() {
        return pagesDamagedInBase;
    }

    /** Returns a remark about the copying, for a person: it begins with a semicolon, or is empty. */
    String remark() {
        return remark;
    }

    private WriteMode firstMode(Closing opened) throws IOException {
        if (base.isEmpty()) {
            lookedAtEverything = true;
            return new WriteMode.Everything();
        }
        if (epoch.flatMap(Epoch::relativeTo).isEmpty()) {
            lookedAtEverything = true;
            remark += "; every page was compared with it, because "
                    + epoch.map(known -> known.unknownBecause().orElseThrow()).orElse("there is no tracker");
            return compare(Optional.empty(), opened);
        }
        Epoch known = epoch.get();
        known.requireRelativeTo(base.get().reference());
        if (!reportsBlocks()) {
            return new WriteMode.DirtyPages(known.bitmap());
        }
        differing = Optional.of(DirtyBitmap.of(layout));
        known.tellChanged(differing.get());
        return compare(Optional.of(known.bitmap()), opened);
    }

    private WriteMode laterMode(Closing opened) throws IOException {
        if (lost.isPresent()) {
            remark += "; every page was examined again during the pause, because " + lost.get();
            return base.isEmpty() ? new WriteMode.Everything() : compare(Optional.empty(), opened);
        }
        return base.isPresent() && reportsBlocks()
                ? compare(latest, opened) : new WriteMode.DirtyPages(latest.orElseThrow());
    }

    private boolean reportsBlocks() {
        return epoch.orElseThrow().blockBytes() > layout.pageBytes();
    }

    private WriteMode compare(Optional<DirtyBitmap> pages, Closing opened) throws IOException {
        OpenedImage compared = opened.add(OpenedImage.of(BaseChain.compose(base.orElseThrow()), plan.io));
        RangeConsumer told = differing.isPresent() ? differing.get()::mark : NOBODY;
        return new WriteMode.Compare(compared.image(), pages, told);
    }
}
