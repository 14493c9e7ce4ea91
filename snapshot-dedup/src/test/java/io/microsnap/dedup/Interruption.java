package io.microsnap.dedup;

import io.microsnap.core.internal.work.Workers;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicReference;

/** Work that somebody gives up while it is paced. */
final class Interruption {
    private Interruption() {
    }

    /** What the work throws when it is interrupted as soon as it waits, or null if it never waits. */
    static Throwable asSoonAsItWaits(Workers.Task work) throws InterruptedException {
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        Thread worker = Thread.ofPlatform().start(() -> {
            try {
                work.run();
            } catch (IOException stopped) {
                thrown.set(stopped);
            }
        });
        while (worker.isAlive() && worker.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait();
        }
        worker.interrupt();
        worker.join();
        return thrown.get();
    }
}
