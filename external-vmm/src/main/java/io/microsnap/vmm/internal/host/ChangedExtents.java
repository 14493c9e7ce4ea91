package io.microsnap.vmm.internal.host;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.SourceOwnership;
import io.microsnap.dirty.WritePath;
import java.io.IOException;
import java.util.Set;

/**
 * Reads a guest's changes from a memory file that a VMM wrote: data means changed memory, a hole means unchanged
 * memory.
 */
public final class ChangedExtents implements DirtySource {
    private final GuestLayout layout;
    private final SourceOwnership ownership = new SourceOwnership();
    private DirtyBitmap changed;

    /** Makes a source for a guest with this layout; the file comes later. */
    public ChangedExtents(GuestLayout layout) {
        this.layout = layout;
    }

    /**
     * Finds the file's data. This must fail here and not in the harvest: after a failed harvest everything would be
     * compared, and holes would be taken for zeros.
     */
    public void dumped(Descriptor written) throws IOException {
        long blockBytes = written.fileSystem().blockSizeBytes();
        if (blockBytes > layout.pageBytes()) {
            throw new SnapshotException(written + ": its filesystem has blocks of " + blockBytes + " bytes, larger"
                    + " than the guest's pages, so changed pages cannot be told apart; use another directory, such as"
                    + " a tmpfs");
        }
        DirtyBitmap found = DirtyBitmap.of(layout);
        if (!Extents.data(written, found::mark)) {
            throw new SnapshotException(written + ": its filesystem does not tell where it has holes; use another"
                    + " directory, such as a tmpfs");
        }
        changed = found;
    }

    @Override
    public String name() {
        return "memory file of changes";
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

    @Override
    public Set<WritePath> blindTo() {
        return Set.of();
    }

    @Override
    public void arm() {
        // The VMM itself tracks writes.
    }

    @Override
    public void harvest(DirtyBitmap into) {
        if (changed == null) {
            throw new IllegalStateException("the VMM has not written its memory yet");
        }
        into.or(changed);
    }

    @Override
    public void disarm() {
        // The VMM itself tracks writes.
    }

    @Override
    public void close() {
        // The file's owner closes it.
    }
}
