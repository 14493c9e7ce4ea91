package io.microsnap.dirty.testing;

import io.microsnap.core.GuestLayout;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.WritePath;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Set;

/**
 * A guest that {@link DirtySourceContract} makes write, while a source watches it. At least 64 pages; more than one
 * region shows more.
 */
public interface TrackedGuest extends AutoCloseable {
    GuestLayout layout();

    /** A source that watches this guest, not yet armed. Asked once; closed before the guest is. */
    DirtySource openSource() throws IOException;

    /** The ways by which a test can write this guest. At least one of them the source must see. */
    Set<WritePath> paths();

    /**
     * Stores a value in the first four bytes of each page named, and nothing else; a discard makes the page zero
     * instead. When this returns the memory has changed and nothing runs any more.
     *
     * @param path one of {@link #paths}
     * @param pages image offsets of pages, ascending; may be none
     * @param value differs from call to call; not zero
     */
    void write(WritePath path, long[] pages, int value) throws IOException;

    /**
     * Lets the guest write pages all over its memory, by ways that the source sees, on as many threads or vCPUs as it
     * has, until the result is closed; then nothing runs any more. It should write few pages from one harvest to the
     * next, beside the number it has: a page that is written again hides that an earlier write of it was lost.
     */
    Writing keepWriting(long seed) throws IOException;

    /** Fills the destination with what the guest would read from the image offset on. */
    void read(long imageOffset, MemorySegment destination) throws IOException;

    /** Whether the guest writes this page merely by running (its stack, its counter); not compared. */
    default boolean writesByItself(long imageOffset) {
        return false;
    }

    @Override
    void close() throws IOException;

    /** A guest that is running; closing stops it. */
    interface Writing extends AutoCloseable {
        /** Returns once it has written some more pages, and while it still writes. */
        void awaitProgress() throws IOException;

        @Override
        void close() throws IOException;
    }
}
