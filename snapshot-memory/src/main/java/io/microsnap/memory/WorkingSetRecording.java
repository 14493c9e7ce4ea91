package io.microsnap.memory;

import io.microsnap.memory.internal.ahead.TouchedPages;
import io.microsnap.store.WorkingSet;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * Records which pages a restored guest touches, until it is saved or closed. It delays the guest's first touch of each
 * page by less than half a microsecond, and later touches not at all. Safe for use by any number of threads.
 */
public final class WorkingSetRecording implements AutoCloseable {
    private final StoredSnapshot held;
    private final TouchedPages touched;
    private boolean ended;

    WorkingSetRecording(StoredSnapshot held, TouchedPages touched) {
        this.held = held;
        this.touched = touched;
    }

    /**
     * Ends the recording and adds it to the snapshot's working set: call this when the guest is ready. If several
     * restores save recordings at the same time, all are kept. Returns the set as it is now. If this throws, the set is
     * as it was.
     *
     * @throws IllegalStateException if the recording has ended already
     * @throws java.nio.file.NoSuchFileException if the snapshot was deleted or replaced by force meanwhile
     */
    public synchronized WorkingSet save() throws IOException {
        if (ended) {
            throw new IllegalStateException("the recording of " + held + " has ended already");
        }
        try {
            return held.addRecording(recording -> touched.runs(recording::touched));
        } finally {
            close();
        }
    }

    /**
     * Saves the recording after a time, unless it has ended before. The future then holds the result of {@link #save}.
     */
    public CompletableFuture<WorkingSet> saveAfter(Duration time) {
        Executor own = task -> Thread.ofPlatform().daemon().name("microsnap-recording").start(task);
        return CompletableFuture.supplyAsync(this::saveUnchecked,
                CompletableFuture.delayedExecutor(time.toNanos(), TimeUnit.NANOSECONDS, own));
    }

    synchronized boolean hasEnded() {
        return ended;
    }

    private WorkingSet saveUnchecked() {
        try {
            return save();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    /** Ends the recording and discards it, unless it was saved. A second call does nothing. */
    @Override
    public synchronized void close() throws IOException {
        if (!ended) {
            ended = true;
            touched.close();
        }
    }
}
