package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;

/** A lane that writes what it looks at into a side file. */
final class SideLane extends WritingLane {
    private final SideFiles.SideFile file;

    SideLane(PageReader reader, DirtyBitmap dirty, PagePass.Plan plan, SideFiles.SideFile file, Posix posix,
            ThreadStall stall) {
        super(reader, dirty, plan, file, posix, stall);
        this.file = file;
    }

    @Override
    public void chunk(long offset, long lengthBytes) throws IOException {
        file.take(offset);
        super.chunk(offset, lengthBytes);
    }
}
