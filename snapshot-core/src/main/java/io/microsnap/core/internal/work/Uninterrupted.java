package io.microsnap.core.internal.work;

/** Waits for something that has to be over before the caller goes on, interrupted or not. */
public final class Uninterrupted {
    private Uninterrupted() {
    }

    /** Waits for something, and may be interrupted. */
    @FunctionalInterface
    public interface Wait {
        void await() throws InterruptedException;
    }

    /** Waits to the end; a thread that was interrupted meanwhile still is when this returns. */
    public static void await(Wait wait) {
        boolean interrupted = false;
        while (true) {
            try {
                wait.await();
                break;
            } catch (InterruptedException later) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
