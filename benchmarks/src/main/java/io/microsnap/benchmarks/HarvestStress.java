package io.microsnap.benchmarks;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import io.microsnap.core.BusyException;
import io.microsnap.core.GuestLayout;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.internal.ProtectionSource;
import io.microsnap.dirty.internal.WriteProtection;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.IZ_Result;
import org.openjdk.jcstress.infra.results.ZZ_Result;

/**
 * Proves that a harvest misses no concurrent write. Each case copies the memory after the harvest; a write that the
 * copy lacks must be in the next epoch. The cases named after a wrong order show what that order loses.
 */
public class HarvestStress {
    private static final int PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 64 * PAGE);

    /** A device writes and then marks, concurrently with a harvest; the page was dirty before. */
    @JCStressTest
    @Outcome(id = {"0, true", "1, true"}, expect = ACCEPTABLE, desc = "In the next epoch.")
    @Outcome(id = "1, false", expect = ACCEPTABLE, desc = "In the copy.")
    @Outcome(id = "0, false", expect = FORBIDDEN, desc = "The write is lost.")
    @State
    public static class WriteThenMark {
        private final DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT);
        private int memory;

        public WriteThenMark() {
            tracker.markWritten(0, 1);
        }

        @Actor
        public void device() {
            memory = 1;
            tracker.markWritten(0, 1);
        }

        @Actor
        public void capture(IZ_Result result) {
            harvestAndCommit(tracker);
            result.r1 = memory;
        }

        @Arbiter
        public void next(IZ_Result result) {
            result.r2 = isDirty(tracker);
        }
    }

    /** The same, but the page was clean before. */
    @JCStressTest
    @Outcome(id = {"0, true", "1, true"}, expect = ACCEPTABLE, desc = "In the next epoch.")
    @Outcome(id = "1, false", expect = ACCEPTABLE, desc = "In the copy.")
    @Outcome(id = "0, false", expect = FORBIDDEN, desc = "The write is lost.")
    @State
    public static class WriteThenMarkOfACleanPage {
        private final DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT);
        private int memory;

        @Actor
        public void device() {
            memory = 1;
            tracker.markWritten(0, 1);
        }

        @Actor
        public void capture(IZ_Result result) {
            harvestAndCommit(tracker);
            result.r1 = memory;
        }

        @Arbiter
        public void next(IZ_Result result) {
            result.r2 = isDirty(tracker);
        }
    }

    /** Wrong order: the device marks and then writes. */
    @JCStressTest
    @Outcome(id = {"0, true", "1, true", "1, false"}, expect = ACCEPTABLE, desc = "By luck.")
    @Outcome(id = "0, false", expect = ACCEPTABLE_INTERESTING, desc = "The write is lost: why the order matters.")
    @State
    public static class WrongMarkThenWrite {
        private final DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT);
        private int memory;

        @Actor
        public void device() {
            tracker.markWritten(0, 1);
            memory = 1;
        }

        @Actor
        public void capture(IZ_Result result) {
            harvestAndCommit(tracker);
            result.r1 = memory;
        }

        @Arbiter
        public void next(IZ_Result result) {
            result.r2 = isDirty(tracker);
        }
    }

    /** Wrong: a bit that is set already is only read, which may happen before the write is visible. */
    @JCStressTest
    @Outcome(id = {"0, true", "1, true", "1, false"}, expect = ACCEPTABLE, desc = "By luck.")
    @Outcome(id = "0, false", expect = ACCEPTABLE_INTERESTING, desc = "The write is lost: why marking has a fence.")
    @State
    public static class WrongMarkWithoutFence {
        private final DirtyBitmap bitmap = DirtyBitmap.of(LAYOUT);
        private final DirtyBitmap drained = DirtyBitmap.of(LAYOUT);
        private int memory;

        public WrongMarkWithoutFence() {
            bitmap.set(0);
        }

        @Actor
        public void device() {
            memory = 1;
            bitmap.set(0);
        }

        @Actor
        public void capture(IZ_Result result) {
            bitmap.drainInto(drained);
            result.r1 = memory;
        }

        @Arbiter
        public void next(IZ_Result result) {
            result.r2 = bitmap.test(0);
        }
    }

    /** A fault unprotects a page while its block is split. */
    @JCStressTest
    @Outcome(id = "true, true", expect = ACCEPTABLE, desc = "Reported, and protected after that.")
    @Outcome(expect = FORBIDDEN, desc = "The page was unprotected without a bit.")
    @State
    public static class FaultAgainstSplit extends FaultAgainstSwitch {
        public FaultAgainstSplit() {
            super(false);
        }

        @Actor
        public void vcpu() {
            fault();
        }

        @Actor
        public void capture() {
            change();
        }

        @Arbiter
        public void next(ZZ_Result result) {
            harvest(result);
        }
    }

    /** A fault unprotects a page while its block is joined. */
    @JCStressTest
    @Outcome(id = "true, true", expect = ACCEPTABLE, desc = "Reported, and protected after that.")
    @Outcome(expect = FORBIDDEN, desc = "The page was unprotected without a bit.")
    @State
    public static class FaultAgainstJoin extends FaultAgainstSwitch {
        public FaultAgainstJoin() {
            super(true);
        }

        @Actor
        public void vcpu() {
            fault();
        }

        @Actor
        public void capture() {
            change();
        }

        @Arbiter
        public void next(ZZ_Result result) {
            harvest(result);
        }
    }

    /** A guest faults and writes, concurrently with a harvest that copies; its page was written before. */
    @JCStressTest
    @Outcome(id = {"0, true", "1, true"}, expect = ACCEPTABLE, desc = "In the next epoch.")
    @Outcome(id = "1, false", expect = ACCEPTABLE, desc = "In the copy.")
    @Outcome(id = "0, false", expect = FORBIDDEN, desc = "The write is lost.")
    @State
    public static class FaultAgainstHarvest {
        private final OnePage page = new OnePage();
        private final ProtectionSource source = armed(page);
        private volatile int memory;

        public FaultAgainstHarvest() {
            fault(source);
        }

        @Actor
        public void vcpu() {
            while (true) {
                if (!page.writable.get()) {
                    fault(source);
                } else if (page.tryWrite(() -> memory = 1)) {
                    return;
                }
            }
        }

        @Actor
        public void capture(IZ_Result result) {
            reports(source);
            result.r1 = memory;
        }

        @Arbiter
        public void next(IZ_Result result) {
            result.r2 = reports(source);
        }
    }

    /** A block of pages, a fault, and a capture that reports the changed pages. */
    public abstract static class FaultAgainstSwitch {
        private final OnePage page = new OnePage();
        private final ProtectionSource source = armed(page);
        private final DirtyBitmap all = DirtyBitmap.of(LAYOUT);
        private final DirtyBitmap changed = DirtyBitmap.of(LAYOUT);

        FaultAgainstSwitch(boolean join) {
            all.mark(0, LAYOUT.lengthBytes());
            if (join) {
                source.learn(all, changed);
                changed.mark(0, LAYOUT.lengthBytes());
            }
        }

        void fault() {
            HarvestStress.fault(source);
        }

        void change() {
            source.learn(all, changed);
        }

        void harvest(ZZ_Result result) {
            result.r1 = reports(source);
            result.r2 = !page.writable.get();
        }
    }

    /** Protection of the first page; the guest's stores to it wait while it changes, as those of a processor do. */
    private static final class OnePage implements WriteProtection {
        private final AtomicBoolean writable = new AtomicBoolean(true);

        synchronized boolean tryWrite(Runnable write) {
            if (writable.get()) {
                write.run();
                return true;
            }
            return false;
        }

        @Override
        public GuestLayout layout() {
            return LAYOUT;
        }

        @Override
        public synchronized void protect(long imageOffset, long lengthBytes) {
            if (imageOffset == 0) {
                writable.set(false);
            }
        }

        @Override
        public synchronized void allow(long imageOffset, long lengthBytes) {
            if (imageOffset == 0) {
                writable.set(true);
            }
        }
    }

    private static ProtectionSource armed(WriteProtection protection) {
        try {
            ProtectionSource source = new ProtectionSource("protection", protection, 64 * PAGE);
            source.arm();
            return source;
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
    }

    private static void fault(ProtectionSource source) {
        try {
            source.faulted(0);
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
    }

    private static boolean reports(ProtectionSource source) {
        try {
            DirtyBitmap bitmap = DirtyBitmap.of(LAYOUT);
            source.harvest(bitmap);
            return bitmap.test(0);
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
    }

    private static void harvestAndCommit(DirtyTracker tracker) {
        try {
            tracker.harvest().commit(Snapshots.ANY);
        } catch (BusyException impossible) {
            throw new UncheckedIOException(impossible);
        }
    }

    private static boolean isDirty(DirtyTracker tracker) {
        try {
            return tracker.harvest().bitmap().test(0);
        } catch (BusyException impossible) {
            throw new UncheckedIOException(impossible);
        }
    }
}
