package io.microsnap.benchmarks;

import io.microsnap.memory.Prefetch;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;

/** One snapshot, opened once and in the page cache, restored again and again by guests that touch a part of it. */
final class ManyRestoresScenario implements Scenario {
    private static final long BYTES = 256L << 20;
    private static final int TOUCHED = 4_096;
    private static final int RESTORES = 100;
    private static final int SEED = 100;
    private static final int HUNDRED = 100;
    private static final Duration LONGEST = Duration.ofMillis(5);

    private final Prefetch prefetch;

    ManyRestoresScenario(Prefetch prefetch) {
        this.prefetch = prefetch;
    }

    @Override
    public String name() {
        return "read-ahead/many/" + prefetch.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    @Override
    public String question() {
        return RESTORES + " restores of a warm snapshot of 256 MiB that is opened once, each touching 16 MiB and closed"
                + ", prefetch " + prefetch + "; the peer makes the same mappings and touches";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1.3);
    }

    @Override
    public long workingSetBytes() {
        return BYTES;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        ColdImage image = ColdImage.make(workbench, FileSystemKind.XFS, BYTES);
        TouchPattern touched = TouchPattern.of(TouchPattern.Shape.RUNS, BYTES / Guest.PAGE, TOUCHED, SEED);
        image.record(touched);
        Run run = new Run(image, touched);
        Workbench.warmUp(run::restoreAll);
        Contestant peer = workbench.peer(ManyRestoresScenario.class, "touch.c", "many", image.path(), BYTES,
                touched.write(image.directory().resolve("pages")), RESTORES);
        return new Duel(Contestant.java(() -> { }, run::restoreAll), peer, run::check);
    }

    private final class Run {
        private final ColdImage image;
        private final TouchPattern touched;
        private final long[] nanos = new long[RESTORES];
        private long sum;

        Run(ColdImage image, TouchPattern touched) {
            this.image = image;
            this.touched = touched;
        }

        void restoreAll() throws IOException {
            for (int number = 0; number < RESTORES; number++) {
                long start = System.nanoTime();
                try (RestoredSnapshot restored = image.restore().prefetch(prefetch).restore(RestoreEngine.LAZY)) {
                    nanos[number] = System.nanoTime() - start;
                    sum += touched.touch(restored.memory().mapping(0));
                }
            }
        }

        void check() throws IOException {
            long[] sorted = nanos.clone();
            Arrays.sort(sorted);
            long rare = sorted[RESTORES * 99 / HUNDRED - 1];
            System.err.printf(Locale.ROOT, "  one restore: median %d us, 99th percentile %d us%n",
                    sorted[RESTORES / 2] / 1000, rare / 1000);
            if (rare > LONGEST.toNanos() || sum == 0) {
                throw new IOException("the 99th percentile of one restore is " + Duration.ofNanos(rare) + "; "
                        + LONGEST + " is the limit");
            }
        }
    }
}
