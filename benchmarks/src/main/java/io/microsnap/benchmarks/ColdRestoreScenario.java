package io.microsnap.benchmarks;

import io.microsnap.memory.Prefetch;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.util.Locale;

/** From a restore whose image is not in the page cache until the guest has touched all that it needs. */
final class ColdRestoreScenario implements Scenario {
    private static final long BYTES = 1L << 30;
    private static final int TOUCHED = 16_384;
    private static final int TOUCHED_SLOWLY = 1_024;
    private static final int SEED = 2026;
    private static final double MOST_CACHE = 1.2;
    private static final double MOST_MAJOR_FAULTS = 0.03;

    private final FileSystemKind disk;
    private final TouchPattern.Shape shape;
    private final Ahead ahead;
    private final Throttle.Limit limit;

    /** What is read ahead. */
    enum Ahead {
        /** What the guest is going to touch. */
        SET,
        /** As much that it is not going to touch. */
        WRONG,
        NOTHING,
        EVERYTHING
    }

    ColdRestoreScenario(FileSystemKind disk, TouchPattern.Shape shape, Ahead ahead, Throttle.Limit limit) {
        this.limit = limit;
        this.disk = disk;
        this.shape = shape;
        this.ahead = ahead;
    }

    @Override
    public String name() {
        return "read-ahead/cold/" + disk.name().toLowerCase(Locale.ROOT) + "/" + shape.label() + "/"
                + ahead.name().toLowerCase(Locale.ROOT)
                + (limit == Throttle.Limit.NONE ? "" : "/" + limit.name().toLowerCase(Locale.ROOT));
    }

    @Override
    public String question() {
        return "a guest of 1 GiB on " + disk + ", cold, touches " + ((touches() * Guest.PAGE) >> 20) + " MiB, "
                + shape.label() + (limit == Throttle.Limit.NONE ? "" : ", " + limit.label()) + "; " + switch (ahead) {
            case SET -> "prefetched: exactly that";
            case WRONG -> "prefetched: as much that it does not touch";
            case NOTHING -> "nothing is prefetched";
            case EVERYTHING -> "everything is prefetched";
        } + "; the peer maps the file and touches it, with the kernel's readahead";
    }

    @Override
    public Target target() {
        if (limit != Throttle.Limit.NONE) {
            return Target.none();
        }
        return switch (ahead) {
            case SET -> Target.speedAtLeast(shape == TouchPattern.Shape.RUNS ? 8 : 4);
            case WRONG -> Target.timeAtMost(1.1);
            case NOTHING, EVERYTHING -> Target.none();
        };
    }

    private long touches() {
        return limit == Throttle.Limit.NONE ? TOUCHED : TOUCHED_SLOWLY;
    }

    @Override
    public long workingSetBytes() {
        return BYTES;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        ColdImage image = ColdImage.make(workbench, disk, BYTES);
        TouchPattern touched = TouchPattern.of(shape, BYTES / Guest.PAGE, (int) touches(), SEED);
        switch (ahead) {
            case SET -> image.record(touched);
            case WRONG -> image.record(TouchPattern.of(shape, BYTES / Guest.PAGE, (int) touches(), SEED + 1));
            case NOTHING, EVERYTHING -> { }
        }
        Run run = workbench.closeLater(new Run(image, touched, ahead));
        Workbench.warmUp(() -> {
            run.close();
            run.restore();
        });
        if (limit != Throttle.Limit.NONE) {
            workbench.closeLater(Throttle.of(image.path(), limit));
        }
        Contestant peer = workbench.peer(ColdRestoreScenario.class, "touch.c", "cold", image.path(), BYTES,
                touched.write(image.directory().resolve("pages")));
        return new Duel(Contestant.java(run::prepare, run::restore), () -> {
            run.close();
            return peer.run();
        }, () -> { });
    }

    /** One restore after another. */
    private static final class Run implements AutoCloseable {
        private final ColdImage image;
        private final TouchPattern touched;
        private final Ahead ahead;
        private RestoredSnapshot restored;
        private long expected;
        private boolean measured;
        private long faultsBefore;

        Run(ColdImage image, TouchPattern touched, Ahead ahead) {
            this.image = image;
            this.touched = touched;
            this.ahead = ahead;
        }

        void prepare() throws IOException {
            close();
            image.evict();
            measured = true;
            faultsBefore = ColdImage.majorFaults();
        }

        void restore() throws IOException {
            restored = image.restoreFromStore().threads(2).prefetch(switch (ahead) {
                case SET, WRONG -> Prefetch.WORKING_SET;
                case NOTHING -> Prefetch.NONE;
                case EVERYTHING -> Prefetch.EVERYTHING;
            }).restore(RestoreEngine.LAZY);
            long sum = touched.touch(restored.memory().mapping(0));
            if (expected != 0 && sum != expected) {
                throw new IOException("the pages touched come to " + sum + ", not " + expected);
            }
            expected = sum;
        }

        /** Looks at what the restore did to the page cache, and lets go of it. */
        @Override
        public void close() throws IOException {
            if (restored == null) {
                return;
            }
            long faults = ColdImage.majorFaults() - faultsBefore;
            long cached = image.residentBytes();
            restored.close();
            restored = null;
            if (measured) {
                long wanted = (long) touched.count() * Guest.PAGE;
                System.err.printf(Locale.ROOT, "  %d major faults, page cache %d MiB%n", faults, cached >> 20);
                if (ahead == Ahead.SET && (cached > MOST_CACHE * wanted
                        || faults > MOST_MAJOR_FAULTS * touched.count())) {
                    throw new IOException(faults + " major faults, and " + cached + " bytes in the page cache, are too"
                            + " many for " + touched.count() + " pages");
                }
                measured = false;
            }
        }
    }
}
