package io.microsnap.cli;

import io.microsnap.core.CancelledException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Ctrl-C: the work learns of it at its next step and undoes what it began, and only then does the JVM end, with the
 * status that it gives an interrupt itself. Work that does not come to a step in time is cut off; what it leaves is
 * removed when the store is opened next.
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

    /** Throws if somebody wants the work to end. */
    void check() throws CancelledException {
        if (isRequested()) {
            throw new CancelledException("interrupted; nothing was changed");
        }
    }

    /** Nothing is left to undo: the JVM may end. */
    void finished() {
        finished.countDown();
    }

    private void waitForWork() {
        if (finished.getCount() > 0) {
            requested.set(true);
            try {
                if (!finished.await(SECONDS_TO_UNDO, TimeUnit.SECONDS)) {
                    System.err.println("microsnap: cut off; the next command on the store tidies up");
                }
            } catch (InterruptedException impatient) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
