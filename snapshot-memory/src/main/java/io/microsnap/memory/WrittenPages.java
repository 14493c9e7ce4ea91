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
 * Names the pages that a guest wrote since it was restored lazily: those that no longer belong to the image. It costs
 * the guest nothing and needs no arming. It names every page written since the restore each time, so only the first
 * epoch is exact; later ones name too many pages, never too few.
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

    /** Returns the blind spots: a discarded page reads as the image's again and no longer counts as written. */
    @Override
    public Set<WritePath> blindTo() {
        return EnumSet.of(WritePath.OTHER_MAPPING, WritePath.FILE, WritePath.DISCARD);
    }

    /**
     * Arms the source. If it is armed again, it may have missed an epoch, whose snapshot holds pages in a state that is
     * neither the one before nor the one after.
     */
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

    /** Names all read-in pages, too: those that equal the image now may have differed meanwhile. */
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
