package io.microsnap.registry.internal.push;

import io.microsnap.core.internal.work.Workers;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.registry.internal.format.Frame;
import io.microsnap.registry.internal.format.FrameCompression;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;

/** Buffers for the pages of one frame and their compressed form, which are reused. One thread at a time fills it. */
final class FrameJob implements AutoCloseable {
    private static final int MOST_RUNS = 64;

    private final int pageBytes;
    private final MemorySegment pages;
    private final MemorySegment stored;
    private final FrameCompression compression;
    private final MessageDigest sha256 = Digest.sha256();
    private final long[] runs = new long[2 * MOST_RUNS];
    private int runCount;
    private int pageCount;
    private int pagesLength;
    private Future<?> work;
    private int storedLength;
    private boolean compressed;
    private byte[] storedDigest;
    private byte[] pagesDigest;

    FrameJob(Arena arena, int pageBytes, int level) {
        this.pageBytes = pageBytes;
        pages = arena.allocate(Frame.LARGEST_BYTES);
        stored = arena.allocate(FrameCompression.ROOM_BYTES);
        compression = new FrameCompression(level);
    }

    boolean isEmpty() {
        return pageCount == 0;
    }

    boolean isFull() {
        return pagesLength + pageBytes > Frame.LARGEST_BYTES;
    }

    /** Adds a page; the last of an image may be shorter. */
    void add(long page, MemorySegment source, long offset, int lengthBytes) {
        MemorySegment.copy(source, offset, pages, pagesLength, lengthBytes);
        pagesLength += lengthBytes;
        pageCount++;
        if (runCount > 0 && runs[2 * runCount - 2] + runs[2 * runCount - 1] == page) {
            runs[2 * runCount - 1]++;
        } else {
            runs[2 * runCount] = page;
            runs[2 * runCount + 1] = 1;
            runCount++;
        }
    }

    /** Starts the compression in one of the threads. */
    void start(Workers threads) {
        FutureTask<?> compression = new FutureTask<>(this::compress, null);
        work = compression;
        threads.submit(compression::run, () -> { });
    }

    private void compress() {
        MemorySegment content = pages.asSlice(0, pagesLength);
        pagesDigest = digest(content);
        storedLength = compression.compress(content, stored);
        compressed = storedLength < pagesLength;
        if (compressed) {
            storedDigest = digest(stored.asSlice(0, storedLength));
        } else {
            storedLength = pagesLength;
            storedDigest = pagesDigest;
        }
    }

    private byte[] digest(MemorySegment content) {
        sha256.update(content.asByteBuffer());
        return sha256.digest();
    }

    /** Waits for the compression. */
    void await() throws IOException {
        try {
            work.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        } catch (ExecutionException e) {
            throw new IllegalStateException("compression failed", e.getCause());
        }
    }

    /** Returns the bytes to store. */
    MemorySegment stored() {
        return (compressed ? stored : pages).asSlice(0, storedLength);
    }

    Frame frame(int pack, long offset) {
        long all = pageCount == Long.SIZE ? -1L : (1L << pageCount) - 1;
        return new Frame(pack, offset, storedLength, compressed, all, Arrays.copyOf(runs, 2 * runCount), storedDigest,
                pagesDigest);
    }

    /** Returns the end of its last page in the image. */
    long imageEnd() {
        return (runs[2 * runCount - 2] + runs[2 * runCount - 1]) * pageBytes;
    }

    void clear() {
        runCount = 0;
        pageCount = 0;
        pagesLength = 0;
    }

    @Override
    public void close() {
        compression.close();
    }
}
