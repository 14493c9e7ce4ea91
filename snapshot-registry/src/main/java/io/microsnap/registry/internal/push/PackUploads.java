package io.microsnap.registry.internal.push;

import io.microsnap.core.SnapshotException;
import io.microsnap.registry.internal.client.Body;
import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.format.Artifact;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.registry.internal.format.Frame;
import io.microsnap.registry.internal.format.Pack;
import io.microsnap.registry.internal.work.Transfers;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * Puts frames into packs, in the order in which they come, and sends full packs while the next is filled. The memory
 * for packs is bounded, whatever the guest's size.
 */
final class PackUploads implements AutoCloseable {
    /** Room for two packs of the largest size or three of others: with the heap, well below 256 MiB. */
    private static final int MOST_BUFFERED_BYTES = 96 << 20;
    private static final long TICK_MILLIS = 100;

    private final RegistryClient client;
    private final List<String> otherRepositories;
    private final int firstNumber;
    private final int packBytes;
    private final Transfers.Tick tick;
    private final Transfers workers;
    private final Arena arena = Arena.ofShared();
    private final BlockingQueue<MemorySegment> free = new LinkedBlockingQueue<>();
    private int buffersToMake;
    private final List<Pack> packs = Collections.synchronizedList(new ArrayList<>());
    private int packCount;
    private MemorySegment current = MemorySegment.NULL;
    private long filled;

    /**
     * Makes an empty pack. Sends nothing yet.
     *
     * @param firstNumber the number of the first pack in the frame table
     */
    PackUploads(RegistryClient client, List<String> otherRepositories, int firstNumber, long imageBytes, int transfers,
            Transfers.Tick tick) {
        this.client = client;
        this.otherRepositories = otherRepositories;
        this.firstNumber = firstNumber;
        this.tick = tick;
        int largest = Pack.largestBytes(imageBytes);
        buffersToMake = MOST_BUFFERED_BYTES / largest;
        // A small image needs no large buffer: packs are never longer than the image.
        packBytes = (int) Math.min(largest, Math.max(imageBytes, 1));
        workers = new Transfers("push", Math.min(transfers, buffersToMake), buffersToMake, tick);
    }

    /** Adds a frame; returns it with its offset. */
    Frame add(FrameJob job) throws IOException {
        MemorySegment bytes = job.stored();
        if (!current.equals(MemorySegment.NULL) && filled + bytes.byteSize() > packBytes) {
            send();
        }
        if (current.equals(MemorySegment.NULL)) {
            current = buffer();
            packCount++;
            if (firstNumber + packCount > Artifact.MOST_BLOBS) {
                throw new SnapshotException("the snapshot would need more than the " + Artifact.MOST_BLOBS
                        + " blobs that an artifact may have; compress more, or push fewer bases with it");
            }
            packs.add(null);
        }
        MemorySegment.copy(bytes, 0, current, filled, bytes.byteSize());
        Frame frame = job.frame(firstNumber + packCount - 1, filled);
        filled += bytes.byteSize();
        return frame;
    }

    /** Sends the last pack, waits for all packs, and returns them in order. */
    List<Pack> finish() throws IOException {
        if (!current.equals(MemorySegment.NULL)) {
            send();
        }
        workers.finish();
        return List.copyOf(packs);
    }

    private void send() throws IOException {
        MemorySegment buffer = current;
        MemorySegment content = buffer.asSlice(0, filled);
        int number = packCount - 1;
        current = MemorySegment.NULL;
        filled = 0;
        workers.submit(() -> {
            Pack pack = new Pack(Digest.of(content), content.byteSize());
            client.upload(pack.blob(), Body.of(content), otherRepositories);
            packs.set(number, pack);
            free.add(buffer);
        });
    }

    private MemorySegment buffer() throws IOException {
        if (free.isEmpty() && buffersToMake > 0) {
            buffersToMake--;
            return arena.allocate(packBytes);
        }
        try {
            while (true) {
                MemorySegment buffer = free.poll(TICK_MILLIS, TimeUnit.MILLISECONDS);
                if (buffer != null) {
                    return buffer;
                }
                workers.check();
                tick.run();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new SnapshotException("interrupted", e);
        }
    }

    @Override
    public void close() {
        workers.close();
        arena.close();
    }
}
