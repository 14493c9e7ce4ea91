package io.microsnap.cli;

import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.RestoredSnapshot;
import java.io.IOException;

/**
 * A guest for the demo, at rest unless told to run: its program writes pages, counts them, and can tell whether its
 * memory is as it left it.
 */
interface DemoGuest extends PausableMachine, AutoCloseable {
    /** How many pages it has written since it was first started, copies it goes on from included. */
    long counter();

    /** How many pages its program works on: somewhat less than half; the rest of a guest is seldom touched. */
    long workingPages();

    /** Runs until so many pages more have been written, and rests then. */
    void runFor(long pages) throws IOException;

    /** Has the guest, which runs for it, go over its memory and compare it with what it knows to have written. */
    boolean checksItself() throws IOException, InterruptedException;

    PageReader reader();

    /** Knows what changed; belongs to the guest. */
    DirtyTracker tracker();

    @Override
    void close() throws IOException;

    /** Where guests come from. */
    interface Factory extends AutoCloseable {
        /** {@code kvm} or {@code simulated}. */
        String name();

        /** A new guest with so much memory, paused before its first instruction. */
        DemoGuest boot(long ramBytes) throws IOException;

        /** A guest that goes on from a snapshot, paused. It takes the snapshot over, also when this fails. */
        DemoGuest restore(RestoredSnapshot restored) throws IOException;

        @Override
        void close() throws IOException;
    }
}
