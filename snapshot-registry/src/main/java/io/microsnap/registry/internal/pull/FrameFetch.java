package io.microsnap.registry.internal.pull;

import io.microsnap.core.DamagedException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.format.Blob;
import io.microsnap.registry.internal.format.Frame;
import io.microsnap.registry.internal.format.FrameTable;
import io.microsnap.registry.internal.work.Transfers;
import io.microsnap.store.internal.PageIndex;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * Fetches frames in as few ranged requests as their offsets allow, several at a time, and writes their pages. The
 * number of transfers bounds its memory.
 */
final class FrameFetch implements AutoCloseable {
    private static final int MOST_BYTES = 4 << 20;
    /** Unwanted frames in between are fetched, too, if they cost less than another request. */
    private static final int LARGEST_GAP = 128 << 10;
    private static final int ATTEMPTS = 3;

    private final RegistryClient client;
    private final FrameTable table;
    private final Descriptor image;
    private final PullProgress progress;
    private final Transfers workers;
    private final Arena arena = Arena.ofShared();
    private final List<Lane> threads = new ArrayList<>();
    private final BlockingQueue<Lane> free = new LinkedBlockingQueue<>();
    private List<Frame> waiting = new ArrayList<>();

    /** Memory and tools of one transfer. */
    private record Lane(MemorySegment buffer, FrameReader reader) {
    }

    FrameFetch(RegistryClient client, FrameTable table, PageIndex index, Descriptor image, int transfers,
            PullProgress progress) {
        this.client = client;
        this.table = table;
        this.image = image;
        this.progress = progress;
        for (int thread = 0; thread < transfers; thread++) {
            threads.add(new Lane(arena.allocate(MOST_BYTES), new FrameReader(index)));
        }
        free.addAll(threads);
        workers = new Transfers("pull", transfers, 2 * transfers, progress::tell);
    }

    /** Adds a frame, in the order of pack and offset. */
    void add(Frame frame) throws IOException {
        if (!waiting.isEmpty()) {
            Frame last = waiting.getLast();
            boolean joins = last.pack() == frame.pack() && frame.offset() - last.end() <= LARGEST_GAP
                    && frame.end() - waiting.getFirst().offset() <= MOST_BYTES;
            if (!joins) {
                flush();
            }
        }
        waiting.add(frame);
    }

    /** Waits until all added frames are written. */
    void finish() throws IOException {
        if (!waiting.isEmpty()) {
            flush();
        }
        workers.finish();
    }

    private void flush() throws IOException {
        List<Frame> frames = waiting;
        waiting = new ArrayList<>();
        workers.submit(() -> {
            // There are as many threads as threads.
            Lane thread = free.remove();
            try {
                fetch(frames, thread);
            } finally {
                free.add(thread);
            }
        });
    }

    private void fetch(List<Frame> frames, Lane thread) throws IOException {
        Blob pack = table.packs().get(frames.getFirst().pack()).blob();
        long start = frames.getFirst().offset();
        MemorySegment bytes = thread.buffer().asSlice(0, frames.getLast().end() - start);
        for (int attempt = 1;; attempt++) {
            client.fetch(pack, start, bytes);
            int intact = write(frames, start, bytes, thread, pack);
            if (intact == frames.size()) {
                return;
            }
            if (attempt == ATTEMPTS) {
                Frame bad = frames.get(intact);
                throw new DamagedException(client + " serves other bytes than those of the frame at " + bad.offset()
                        + " in pack " + pack.digest() + ", " + ATTEMPTS + " times; nothing was published");
            }
        }
    }

    /** Writes frames up to the first that is not intact, and returns how many it wrote. */
    private int write(List<Frame> frames, long start, MemorySegment bytes, Lane thread, Blob pack) throws IOException {
        for (Frame frame : frames) {
            MemorySegment stored = bytes.asSlice(frame.offset() - start, frame.storedBytes());
            if (!thread.reader().isIntact(frame, stored)) {
                return frames.indexOf(frame);
            }
        }
        for (Frame frame : frames) {
            MemorySegment stored = bytes.asSlice(frame.offset() - start, frame.storedBytes());
            thread.reader().write(frame, stored, image, "the frame at " + frame.offset() + " in pack "
                    + pack.digest());
            progress.done((long) frame.usedCount() * table.layout().pageBytes());
        }
        return frames.size();
    }

    @Override
    public void close() {
        workers.close();
        threads.forEach(thread -> thread.reader().close());
        arena.close();
    }
}
