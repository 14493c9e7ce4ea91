package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.store.internal.PageIndex;
import java.io.IOException;

/** The calling thread's lane: it writes what the others have looked at, and while there is nothing it does as they. */
final class WriterLane extends WritingLane {
    /** Longer than what is asked about less exactly: which lane looks at a range must make no difference. */
    private static final long LEAST_CHUNK_BYTES = 8L << 20;

    private final WriteBehind behind;
    private final Looking looking;
    private final long chunkBytes;

    WriterLane(PageReader reader, DirtyBitmap dirty, PagePass.Plan plan, Output image, Posix posix, ThreadStall stall,
            WriteBehind behind, Looking looking) {
        super(reader, dirty, plan, image, posix, stall);
        this.behind = behind;
        this.looking = looking;
        // Little, to be soon back at what the others hand over; whole chunks of the index all the same.
        chunkBytes = Math.max(LEAST_CHUNK_BYTES, (long) PageIndex.PAGES_IN_CHUNK * reader.layout().pageBytes());
    }

    @Override
    public long chunkBytes() {
        return chunkBytes;
    }

    @Override
    public void ready() throws IOException {
        super.ready();
        behind.writeWhatIsThere();
        looking.begun();
    }

    @Override
    public void chunk(long offset, long lengthBytes) throws IOException {
        super.chunk(offset, lengthBytes);
        looking.paused();
    }

    @Override
    public void finish() throws IOException {
        looking.ended();
        behind.writeToTheEnd();
        super.finish();
    }

    @Override
    public void abandon(Throwable failure) {
        behind.abandon(failure);
        super.abandon(failure);
    }

    @Override
    long stalledNanos() {
        return Math.max(0, super.stalledNanos() - behind.waitedNanos());
    }
}
