package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;

/** A lane that leaves the writing of what it looks at to the calling thread's. */
final class LookingLane extends WritingLane {
    private final WriteBehind behind;
    private final WriteBehind.Feed feed;
    private final Looking looking;

    LookingLane(PageReader reader, DirtyBitmap dirty, PagePass.Plan plan, WriteBehind.Feed feed, Posix posix,
            WriteBehind behind, Looking looking) {
        super(reader, dirty, plan, feed, posix, null);
        this.behind = behind;
        this.feed = feed;
        this.looking = looking;
    }

    /** It writes nothing that it could be held up by. */
    @Override
    public void ready() {
    }

    @Override
    public void chunk(long offset, long lengthBytes) throws IOException {
        super.chunk(offset, lengthBytes);
        feed.offer();
    }

    @Override
    public void finish() throws IOException {
        looking.ended();
        feed.end();
    }

    @Override
    public void abandon(Throwable failure) {
        behind.abandon(failure);
    }
}
