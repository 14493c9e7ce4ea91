package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.Epoch;
import io.microsnap.dirty.TrackerClaim;
import io.microsnap.memory.internal.image.OpenedImage;
import io.microsnap.memory.internal.image.Pace;
import io.microsnap.memory.internal.image.WriteMode;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.util.Optional;

/**
 * Copies a guest's memory into what was staged, pass by pass: the rounds ahead of the pause, and the one in it. A pass
 * harvests what changed into the capture's one epoch, and then writes it. A page that is written while a pass copies it
 * is torn, and its next harvest names it, for sources watch again before the copying begins.
 */
final class MemoryCopy {
    private static final RangeConsumer NOBODY = (offset, lengthBytes) -> { };

    private final Capture plan;
    private final GuestLayout layout;
    private final Optional<StoredSnapshot> base;
    private final StagedCapture staged;
    /** What the latest harvest named, where it was not the first. */
    private final Optional<DirtyBitmap> latest;
    /** What really differed from the base, where sources report in blocks. */
    private Optional<DirtyBitmap> differing = Optional.empty();
    private Optional<Epoch> epoch = Optional.empty();
    private Optional<String> lost = Optional.empty();
    private Optional<DirtyBitmap> named = Optional.empty();
    private boolean written;
    private boolean lookedAtEverything;
    private long pagesAgain;
    private long pagesDamagedInBase;
    private String remark = "";

    /**
     * Nothing is copied yet.
     *
     * @param base what the image is compared with, or was cloned from; empty for a full capture
     */
    MemoryCopy(Capture plan, Optional<StoredSnapshot> base, StagedCapture staged) {
        this.plan = plan;
        this.base = base;
        this.staged = staged;
        layout = plan.reader.layout();
        latest = plan.copyAhead.map(asked -> DirtyBitmap.of(layout));
    }

    /**
     * Takes out what the guest wrote since the last harvest, or since its last snapshot.
     *
     * @param closing gives the epoch back, unless it is committed
     */
    void harvest(Optional<TrackerClaim> claim, Closing closing) {
        if (epoch.isPresent()) {
            lost = epoch.get().harvestMore(latest.orElseThrow());
        } else if (claim.isPresent()) {
            epoch = Optional.of(closing.add(claim.get().harvest()));
        }
    }

    /** Takes out what the guest wrote since the last harvest, of which nothing may be missing. */
    void harvestRound(Optional<TrackerClaim> claim, Closing closing) throws SnapshotException {
        long before = epoch.isPresent() ? epoch.get().bitmap().count() : 0;
        boolean again = epoch.isPresent();
        harvest(claim, closing);
        if (lost.isPresent()) {
            throw new SnapshotException(plan.id + " cannot be copied ahead of the pause any further: what the guest"
                    + " wrote meanwhile is not known, for " + lost.get()
                    + "; capture again, which looks at every page");
        }
        if (again) {
            long pages = latest.orElseThrow().count();
            pagesAgain = lookedAtEverything ? pages : before + pages - epoch.get().bitmap().count();
        }
    }

    /** Writes what the last harvest named; in the first pass everything, where it is not known what changed. */
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

    /** The epoch that all harvests went into; empty without a tracker. */
    Optional<Epoch> epoch() {
        return epoch;
    }

    /** The pages that the last pass looked at; empty for all of them. */
    Optional<DirtyBitmap> named() {
        return named;
    }

    /** How many pages of the last round an earlier one had looked at, too. */
    long pagesAgain() {
        return pagesAgain;
    }

    /** How many pages of the base were found damaged, in all passes. */
    long pagesDamagedInBase() {
        return pagesDamagedInBase;
    }

    /** What there is to say about the copying, for a person: begins with a semicolon, or is empty. */
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
            remark += "; every page was compared with it, for "
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
            remark += "; every page was looked at again during the pause, for " + lost.get();
            return base.isEmpty() ? new WriteMode.Everything() : compare(Optional.empty(), opened);
        }
        return base.isPresent() && reportsBlocks()
                ? compare(latest, opened) : new WriteMode.DirtyPages(latest.orElseThrow());
    }

    private boolean reportsBlocks() {
        return epoch.orElseThrow().blockBytes() > layout.pageBytes();
    }

    private WriteMode compare(Optional<DirtyBitmap> pages, Closing opened) throws IOException {
        OpenedImage compared = opened.add(OpenedImage.of(Held.compose(base.orElseThrow()), plan.io));
        RangeConsumer told = differing.isPresent() ? differing.get()::mark : NOBODY;
        return new WriteMode.Compare(compared.image(), pages, told);
    }
}
