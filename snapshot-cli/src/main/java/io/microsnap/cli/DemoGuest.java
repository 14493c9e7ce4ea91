package io.microsnap.cli;

import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.RestoredSnapshot;
import java.io.IOException;

/**
 * A guest for the demo, which rests until it is started: its program writes pages, counts them, and can check its own
 * memory.
 */
interface DemoGuest extends PausableMachine, AutoCloseable {
    /** Returns how many pages it has written since it was first started, including those before a restore. */
    long counter();

    /** Returns how many pages its program works on: somewhat less than half; the rest of a guest is seldom touched. */
    long workingPages();

    /** Runs until this many more pages have been written, and then rests. */
    void runFor(long pages) throws IOException;

    /** Runs the guest to compare its memory with what it has written. */
    boolean checksItself() throws IOException, InterruptedException;

    PageReader reader();

    /** Returns the tracker of changes, which the guest closes. */
    DirtyTracker tracker();

    @Override
    void close() throws IOException;

    /** Makes guests. */
    interface Factory extends AutoCloseable {
        /** Returns {@code kvm} or {@code simulated}. */
        String name();

        /** Makes a guest with this much memory, paused before its first instruction. */
        DemoGuest boot(long ramBytes) throws IOException;

        /**
         * Makes a guest that continues from a snapshot, paused. It takes over the restored snapshot, even if this
         * fails.
         */
        DemoGuest restore(RestoredSnapshot restored) throws IOException;

        @Override
        void close() throws IOException;
    }
}
