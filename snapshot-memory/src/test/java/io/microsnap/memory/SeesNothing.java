package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.SourceOwnership;
import io.microsnap.dirty.WritePath;
import java.util.Set;

/** The dirty log of a machine that never runs. */
record SeesNothing(GuestLayout layout, SourceOwnership ownership) implements DirtySource {
    SeesNothing(GuestLayout layout) {
        this(layout, new SourceOwnership());
    }

    @Override
    public String name() {
        return "nothing";
    }

    @Override
    public long blockBytes() {
        return layout.pageBytes();
    }

    @Override
    public Set<WritePath> blindTo() {
        return Set.of(WritePath.MAPPING);
    }

    @Override
    public void arm() {
        // There is nothing to watch.
    }

    @Override
    public void harvest(DirtyBitmap into) {
        // Nothing changed.
    }

    @Override
    public void disarm() {
        // There is nothing to watch.
    }

    @Override
    public void close() {
        // There is nothing to watch.
    }
}
