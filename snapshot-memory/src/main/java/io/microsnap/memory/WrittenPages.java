package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.SourceOwnership;
import io.microsnap.dirty.WritePath;
import io.microsnap.memory.internal.image.ChangedPages;
import java.io.IOException;
import java.util.EnumSet;
import java.util.Set;

/**
 * What a guest wrote since it was restored lazily: the pages that are no longer the image's. It costs the guest
 * nothing and needs no arming. It tells of every page written since the restore each time, so that only the first
 * epoch is exact; the later ones name too much, never too little.
 */
final class WrittenPages implements DirtySource {
    private final SourceOwnership ownership = new SourceOwnership();
    private final GuestLayout layout;
    private final ChangedPages pages;
    private boolean armed;
    private boolean hasBeenArmed;

    WrittenPages(GuestLayout layout, ChangedPages pages) {
        this.layout = layout;
        this.pages = pages;
    }

    @Override
    public String name() {
        return "pages written since the restore";
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public long blockBytes() {
        return layout.pageBytes();
    }

    @Override
    public SourceOwnership ownership() {
        return ownership;
    }

    /** A page given back reads as the image again, and no longer as written. */
    @Override
    public Set<WritePath> blindTo() {
        return EnumSet.of(WritePath.OTHER_MAPPING, WritePath.FILE, WritePath.DISCARD);
    }

    /** Armed anew, it may have missed an epoch, whose snapshot holds pages as they were neither before nor after it. */
    @Override
    public void arm() {
        if (hasBeenArmed) {
            pages.compareNoMore();
        }
        hasBeenArmed = true;
        armed = true;
    }

    @Override
    public void harvest(DirtyBitmap into) throws IOException {
        if (!armed) {
            throw new IllegalStateException(name() + " are harvested, but were not armed");
        }
        pages.addTo(into);
    }

    /** Pages that were read in and are as they were may have been something else meanwhile. */
    @Override
    public void harvestAgain(DirtyBitmap into) throws IOException {
        pages.compareNoMore();
        harvest(into);
    }

    @Override
    public void disarm() {
        armed = false;
    }

    @Override
    public void close() {
        armed = false;
        pages.compareNoMore();
    }
}
