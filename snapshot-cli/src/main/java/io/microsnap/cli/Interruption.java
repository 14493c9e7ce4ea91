package io.microsnap.cli;

import io.microsnap.core.CancelledException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Handles Ctrl-C: the work notices it at its next step and undoes what it began; then the JVM ends, with its own status
 * for an interrupt. Work that takes too long to reach a step is cut off; opening the store again removes its leftovers.
 */
final class Interruption {
    private static final int SECONDS_TO_UNDO = 20;

    private final AtomicBoolean requested = new AtomicBoolean();
    private final CountDownLatch finished = new CountDownLatch(1);

    /** Begins to listen. */
    static Interruption listen() {
        Interruption interruption = new Interruption();
        Runtime.getRuntime().addShutdownHook(new Thread(interruption::waitForWork, "interruption"));
        return interruption;
    }

    boolean isRequested() {
        return requested.get();
    }

    /** Throws if Ctrl-C was pressed. */
    void check() throws CancelledException {
        if (isRequested()) {
            throw new CancelledException("interrupted; nothing was changed");
        }
    }

    /** Declares that nothing is left to undo, so that the JVM may end. */
    void finished() {
        finished.countDown();
    }

    private void waitForWork() {
        if (finished.getCount() > 0) {
            requested.set(true);
            try {
                if (!finished.await(SECONDS_TO_UNDO, TimeUnit.SECONDS)) {
                    System.err.println("microsnap: cut off; the next command on the store removes leftovers");
                }
            } catch (InterruptedException impatient) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
