package io.microsnap.benchmarks;

import io.microsnap.memory.Prefetch;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.memory.WorkingSetRecording;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.util.Locale;

/** What it costs to record a working set: each first touch of a page, and saving. */
final class RecordingScenario implements Scenario {
    private static final long BYTES = 1L << 30;
    private static final int TOUCHED = 16_384;
    private static final int SEED = 7;
    private static final long NANOS_PER_TOUCH = 1_300;
    private static final long NANOS_TO_SAVE = 10_000_000;

    private final Part part;

    /** What is measured. */
    enum Part {
        TOUCH, SAVE;

        String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    RecordingScenario(Part part) {
        this.part = part;
    }

    @Override
    public String name() {
        return "read-ahead/record/" + part.label();
    }

    @Override
    public String question() {
        return "a warm guest of 1 GiB on XFS whose working set is recorded "
                + (part == Part.TOUCH ? "touches " + TOUCHED + " single pages; the peer is a promise of 1.3 us each"
                : "has touched " + TOUCHED + " single pages; saving that, beside the promise of 10 ms");
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1);
    }

    @Override
    public long workingSetBytes() {
        return BYTES;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        ColdImage image = ColdImage.make(workbench, FileSystemKind.XFS, BYTES);
        TouchPattern touched = TouchPattern.of(TouchPattern.Shape.SINGLE, BYTES / Guest.PAGE, TOUCHED, SEED);
        Run run = workbench.closeLater(new Run(image, touched));
        Workbench.warmUp(() -> {
            run.restore();
            run.touch();
            run.save();
        });
        Contestant ours = part == Part.TOUCH ? Contestant.java(run::restore, run::touch)
                : Contestant.java(() -> {
                    run.restore();
                    run.touch();
                }, run::save);
        long promise = part == Part.TOUCH ? TOUCHED * NANOS_PER_TOUCH : NANOS_TO_SAVE;
        return new Duel(ours, () -> promise, run::check);
    }

    private static final class Run implements AutoCloseable {
        private final ColdImage image;
        private final TouchPattern touched;
        private RestoredSnapshot restored;
        private WorkingSetRecording recording;
        private long sum;
        private long pages;

        Run(ColdImage image, TouchPattern touched) {
            this.image = image;
            this.touched = touched;
        }

        void restore() throws IOException {
            close();
            restored = image.restore().recordable().prefetch(Prefetch.NONE).restore(RestoreEngine.LAZY);
            recording = restored.recordWorkingSet();
        }

        void touch() {
            sum += touched.touch(restored.memory().mapping(0));
        }

        void save() throws IOException {
            pages = recording.save().pages();
        }

        void check() throws IOException {
            if (sum == 0 || pages != touched.count()) {
                throw new IOException(pages + " pages were recorded, but " + touched.count() + " were touched");
            }
        }

        @Override
        public void close() throws IOException {
            if (restored != null) {
                restored.close();
                restored = null;
            }
        }
    }
}
