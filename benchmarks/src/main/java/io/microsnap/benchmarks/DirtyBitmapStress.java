package io.microsnap.benchmarks;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import io.microsnap.core.GuestLayout;
import io.microsnap.dirty.DirtyBitmap;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.ZZZZ_Result;
import org.openjdk.jcstress.infra.results.ZZ_Result;

/** Concurrent operations of threads on one word of a dirty bitmap. */
public class DirtyBitmapStress {
    private static final int PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 64 * PAGE);

    /** Two threads set neighbouring bits. */
    @JCStressTest
    @Outcome(id = "true, true, true, true", expect = ACCEPTABLE, desc = "Both were clean, both are set.")
    @Outcome(expect = FORBIDDEN, desc = "A setter overwrote the other's bit.")
    @State
    public static class TwoSettersOneWord {
        private final DirtyBitmap bitmap = DirtyBitmap.of(LAYOUT);

        @Actor
        public void first(ZZZZ_Result result) {
            result.r1 = bitmap.set(0);
        }

        @Actor
        public void second(ZZZZ_Result result) {
            result.r2 = bitmap.set(PAGE);
        }

        @Arbiter
        public void after(ZZZZ_Result result) {
            result.r3 = bitmap.test(0);
            result.r4 = bitmap.test(PAGE);
        }
    }

    /** Two threads set the same bit. */
    @JCStressTest
    @Outcome(id = {"true, false", "false, true"}, expect = ACCEPTABLE, desc = "One of them found it clean.")
    @Outcome(expect = FORBIDDEN, desc = "Both, or neither, claim to have found it clean.")
    @State
    public static class TwoSettersOneBit {
        private final DirtyBitmap bitmap = DirtyBitmap.of(LAYOUT);

        @Actor
        public void first(ZZ_Result result) {
            result.r1 = bitmap.set(0);
        }

        @Actor
        public void second(ZZ_Result result) {
            result.r2 = bitmap.set(0);
        }
    }

    /** A range that fills a word is marked while a bit of that word is set. */
    @JCStressTest
    @Outcome(id = {"true, true", "false, true"}, expect = ACCEPTABLE, desc = "All of the word is set.")
    @Outcome(expect = FORBIDDEN, desc = "Part of the range was lost.")
    @State
    public static class RangeAgainstSetter {
        private final DirtyBitmap bitmap = DirtyBitmap.of(LAYOUT);

        @Actor
        public void range() {
            bitmap.mark(0, 64 * PAGE);
        }

        @Actor
        public void setter(ZZ_Result result) {
            result.r1 = bitmap.set(PAGE);
        }

        @Arbiter
        public void after(ZZ_Result result) {
            result.r2 = bitmap.count() == 64;
        }
    }

    /** A bit is set while its word is drained. */
    @JCStressTest
    @Outcome(id = "true, false", expect = ACCEPTABLE, desc = "Set after the drain: it stays.")
    @Outcome(id = "false, true", expect = ACCEPTABLE, desc = "Set before the drain: it is drained.")
    @Outcome(expect = FORBIDDEN, desc = "The bit is lost, or exists twice.")
    @State
    public static class SetterAgainstDrain {
        private final DirtyBitmap bitmap = DirtyBitmap.of(LAYOUT);
        private final DirtyBitmap drained = DirtyBitmap.of(LAYOUT);

        public SetterAgainstDrain() {
            bitmap.set(PAGE);
        }

        @Actor
        public void setter() {
            bitmap.set(0);
        }

        @Actor
        public void drainer() {
            bitmap.drainInto(drained);
        }

        @Arbiter
        public void after(ZZ_Result result) {
            result.r1 = bitmap.test(0);
            result.r2 = drained.test(0);
        }
    }

    /** A bit that is set already is set again while its word is drained. */
    @JCStressTest
    @Outcome(id = "false, true", expect = ACCEPTABLE, desc = "Set again before the drain.")
    @Outcome(id = "true, true", expect = ACCEPTABLE, desc = "Set again after the drain.")
    @Outcome(expect = FORBIDDEN, desc = "The bit is lost.")
    @State
    public static class SecondSetterAgainstDrain {
        private final DirtyBitmap bitmap = DirtyBitmap.of(LAYOUT);
        private final DirtyBitmap drained = DirtyBitmap.of(LAYOUT);

        public SecondSetterAgainstDrain() {
            bitmap.set(0);
        }

        @Actor
        public void setter() {
            bitmap.set(0);
        }

        @Actor
        public void drainer() {
            bitmap.drainInto(drained);
        }

        @Arbiter
        public void after(ZZ_Result result) {
            result.r1 = bitmap.test(0);
            result.r2 = drained.test(0);
        }
    }
}
