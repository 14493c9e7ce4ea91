package io.microsnap.cli;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.RestoredSnapshot;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A thread that writes mapped memory as a guest would, for machines without KVM. Its first page holds the number of its
 * writes and the sum of the words it wrote; every other page holds the number of its last write. It marks each write
 * with its tracker, as the devices of a VMM do.
 */
final class SimulatedDemoGuest implements DemoGuest {
    private static final long COUNTER = 0;
    private static final long SUM = Long.BYTES;
    private static final int RUN_PAGES = 16;
    /** Odd, and so coprime to every power of two: all runs are visited before one repeats. */
    private static final long STRIDE = 0x9E3779B1L;

    private final GuestMemory memory;
    private final MemorySegment ram;
    private final int pageBytes;
    private final long runs;
    private final Optional<DirtyTracker> tracker;
    private final AutoCloseable owned;
    private final ReentrantLock running = new ReentrantLock(true);
    private final Thread vcpu;
    private volatile long counter;
    private volatile long goal;
    private volatile boolean ending;

    private SimulatedDemoGuest(GuestMemory memory, Optional<DirtyTracker> tracker, AutoCloseable owned) {
        this.memory = memory;
        this.tracker = tracker;
        this.owned = owned;
        ram = memory.mapping(0);
        pageBytes = memory.layout().pageBytes();
        // A power of two of runs, from the second run on: the first holds the guest's counters.
        runs = Long.highestOneBit(Math.max(1, ram.byteSize() * 3 / 8 / pageBytes / RUN_PAGES));
        counter = ram.get(ValueLayout.JAVA_LONG, COUNTER);
        // The controlling thread holds it whenever the guest rests.
        running.lock();
        vcpu = Thread.ofPlatform().daemon().name("simulated-vcpu").unstarted(this::execute);
    }

    /** Returns a factory of guests that need no hypervisor. */
    static DemoGuest.Factory factory(Posix posix) {
        return new Simulated(posix);
    }

    private record Simulated(Posix posix) implements DemoGuest.Factory {
        @Override
        public String name() {
            return "simulated";
        }

        @Override
        public DemoGuest boot(long ramBytes) throws IOException {
            GuestLayout layout = GuestLayout.ofSingleRegion(posix.getpagesize(), ramBytes);
            GuestMemory memory = GuestRam.anonymous(posix, layout, HugePages.NONE);
            SimulatedDemoGuest guest =
                    new SimulatedDemoGuest(memory, Optional.of(DirtyTracker.ofMarks(layout)), memory);
            guest.vcpu.start();
            return guest;
        }

        @Override
        public DemoGuest restore(RestoredSnapshot restored) {
            SimulatedDemoGuest guest = new SimulatedDemoGuest(restored.memory(), Optional.empty(), restored);
            guest.vcpu.start();
            return guest;
        }

        @Override
        public void close() {
            // Nothing was opened.
        }
    }

    private void execute() {
        while (!ending) {
            running.lock();
            try {
                // It stops by itself: on a busy machine a request to stop would come long after it wrote all its
                // memory.
                if (!ending && counter < goal) {
                    writeRun();
                }
            } finally {
                running.unlock();
            }
        }
    }

    private void writeRun() {
        long count = counter;
        long sum = ram.get(ValueLayout.JAVA_LONG, SUM);
        long run = count / RUN_PAGES * STRIDE & runs - 1;
        long offset = (run + 1) * RUN_PAGES * pageBytes;
        for (int page = 0; page < RUN_PAGES && offset < ram.byteSize(); page++, offset += pageBytes) {
            count++;
            sum += count - ram.get(ValueLayout.JAVA_LONG, offset);
            ram.set(ValueLayout.JAVA_LONG, offset, count);
        }
        ram.set(ValueLayout.JAVA_LONG, COUNTER, count);
        ram.set(ValueLayout.JAVA_LONG, SUM, sum);
        if (tracker.isPresent()) {
            tracker.get().markWritten(0, pageBytes);
            tracker.get().markWritten((run + 1) * RUN_PAGES * pageBytes, (long) RUN_PAGES * pageBytes);
        }
        counter = count;
    }

    @Override
    public long counter() {
        return counter;
    }

    @Override
    public long workingPages() {
        return runs * RUN_PAGES;
    }

    @Override
    public void runFor(long pages) {
        long enough = counter + pages;
        goal = enough;
        running.unlock();
        while (counter < enough) {
            LockSupport.parkNanos(10_000);
        }
        running.lock();
    }

    @Override
    public boolean checksItself() {
        long sum = 0;
        for (long offset = (long) RUN_PAGES * pageBytes; offset < ram.byteSize(); offset += pageBytes) {
            sum += ram.get(ValueLayout.JAVA_LONG, offset);
        }
        return sum == ram.get(ValueLayout.JAVA_LONG, SUM) && counter == ram.get(ValueLayout.JAVA_LONG, COUNTER);
    }

    @Override
    public PageReader reader() {
        return memory.reader();
    }

    @Override
    public DirtyTracker tracker() {
        return tracker.orElseThrow();
    }

    @Override
    public void pause() {
        running.unlock();
        running.lock();
    }

    @Override
    public List<MachineStateSection> saveState() {
        return List.of();
    }

    @Override
    public void resume() {
        // Rests until it may run again.
    }

    @Override
    public void close() throws IOException {
        ending = true;
        running.unlock();
        boolean interrupted = false;
        while (vcpu.isAlive()) {
            try {
                vcpu.join();
            } catch (InterruptedException again) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        tracker.ifPresent(SimulatedDemoGuest::closeTracker);
        try {
            owned.close();
        } catch (IOException | RuntimeException failure) {
            throw failure;
        } catch (Exception impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static void closeTracker(DirtyTracker tracker) {
        try {
            tracker.close();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}
