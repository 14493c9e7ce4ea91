package io.microsnap.core.internal.work;

/** Waits for something that must end before the caller continues, even if the thread is interrupted. */
public final class Uninterrupted {
    private Uninterrupted() {
    }

    /** Waits for something, and may be interrupted. */
    @FunctionalInterface
    public interface Wait {
        void await() throws InterruptedException;
    }

    /** Waits to the end; if the thread was interrupted meanwhile, its interrupt status is set again. */
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
