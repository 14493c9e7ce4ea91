package io.microsnap.memory;

import io.microsnap.core.internal.file.AvailableMemory;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.work.Uninterrupted;
import io.microsnap.memory.internal.ahead.PageRuns;
import io.microsnap.memory.internal.ahead.ReadAhead;
import io.microsnap.memory.internal.image.ComposedImage;
import java.io.IOException;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Reads ahead for one restored copy, before its guest runs or concurrently. It only affects speed: if it fails, it logs
 * that, and pages come in when they are touched.
 */
final class PrefetchRun implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger(PrefetchRun.class.getName());
    /** Leaves the rest to guests and other programs. */
    private static final int PART_OF_AVAILABLE = 2;

    private final ComposedImage image;
    private final PageRuns wanted;
    private final ReadAhead ahead;
    private final int threads;
    private Optional<Thread> beside = Optional.empty();
    private volatile Prefetched outcome;

    PrefetchRun(ComposedImage image, Mapping mapping, PageRuns wanted, ReadAhead.Extent extent, int threads) {
        this.image = image;
        this.wanted = wanted;
        this.threads = threads;
        ahead = new ReadAhead(image, mapping, wanted, extent);
        outcome = new Prefetched(wanted.lengthBytes(), 0, 0, wanted.lengthBytes(), Optional.of("it has not ended"));
    }

    /** Reads in the calling thread and in others. */
    void run() {
        outcome = read();
    }

    /** Reads in other threads, and returns at once. */
    void runBeside() {
        beside = Optional.of(Thread.ofPlatform().daemon().name("microsnap-prefetch").start(this::run));
    }

    /** Waits for the end. */
    Prefetched await() {
        beside.ifPresent(thread -> Uninterrupted.await(thread::join));
        return outcome;
    }

    private Prefetched read() {
        OptionalLong available = AvailableMemory.ofProcess().bytes();
        if (available.isEmpty()) {
            return leftOut("the system does not report how much memory is available");
        }
        long most = available.getAsLong() / PART_OF_AVAILABLE;
        try {
            ReadAhead.Amounts amounts = ahead.run(threads, most);
            Optional<String> because = Optional.empty();
            if (ahead.isStopped()) {
                because = Optional.of("the restored snapshot was closed");
            } else if (amounts.leftOutBytes() > 0) {
                because = Optional.of("the limit is half of the available memory, " + most + " bytes");
                LOG.log(System.Logger.Level.INFO, image + ": " + amounts.leftOutBytes() + " of "
                        + wanted.lengthBytes() + " bytes are not read ahead: " + because.get());
            }
            return new Prefetched(wanted.lengthBytes(), amounts.residentBytes(), amounts.readBytes(),
                    amounts.leftOutBytes(), because);
        } catch (IOException failure) {
            return leftOut(failure.getMessage());
        } catch (RuntimeException | Error failure) {
            LOG.log(System.Logger.Level.WARNING, image + ": reading ahead failed", failure);
            return leftOut(failure.toString());
        }
    }

    private Prefetched leftOut(String because) {
        LOG.log(System.Logger.Level.WARNING, image + ": is not read ahead: " + because);
        return new Prefetched(wanted.lengthBytes(), 0, 0, wanted.lengthBytes(), Optional.of(because));
    }

    /** Stops reading ahead, and returns once it has stopped. */
    @Override
    public void close() {
        ahead.stop();
        await();
    }
}
