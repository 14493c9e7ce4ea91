package io.microsnap.benchmarks;

import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.testsupport.FileSystemKind;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Locale;
import java.util.SplittableRandom;

/** What sharing costs later: a cold image that was deduplicated, beside the same one that never was. */
final class ReadAfterDedupScenario implements Scenario {
    private static final long LENGTH = 1L << 30;
    private static final int PAGE = 4096;
    private static final int TOUCHED_PAGES = 8192;

    private final FileSystemKind kind;
    private final Use use;
    private final Pattern pattern;

    /** What is done with the image. */
    enum Use {
        /** Read from start to end. */
        FULL_READ,
        /** Mapped, and touched here and there, as a guest does that was restored lazily. */
        LAZY_RESTORE
    }

    /** How the image differs from the one that it shares with. */
    enum Pattern {
        /** A twentieth, in runs of 256 KiB. */
        USUAL(64 * PAGE, 5),
        /** Every other 512 KiB: as many extents as the default budget allows. */
        WORST(128 * PAGE, 50);

        private final int runBytes;
        private final int differingPercent;

        Pattern(int runBytes, int differingPercent) {
            this.runBytes = runBytes;
            this.differingPercent = differingPercent;
        }
    }

    ReadAfterDedupScenario(FileSystemKind kind, Use use, Pattern pattern) {
        this.kind = kind;
        this.use = use;
        this.pattern = pattern;
    }

    @Override
    public String name() {
        return ("dedup/" + kind.name() + "/later/" + use + "/" + pattern).toLowerCase(Locale.ROOT).replace('_', '-');
    }

    @Override
    public String question() {
        return (use == Use.FULL_READ ? "a full read" : "a lazy restore that touches " + TOUCHED_PAGES + " pages")
                + " of a cold 1 GiB image, beside one that never was deduplicated";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1.15);
    }

    @Override
    public long workingSetBytes() {
        return 3 * LENGTH;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(kind);
        DedupImages images = DedupImages.make(directory, LENGTH, pattern.runBytes, pattern.differingPercent);
        Path ours = directory.resolve("ours");
        Path never = directory.resolve("never");
        images.renew(ours);
        images.renew(never);
        DedupScenario.report(Deduplicator.deduplicateFiles(images.canonical(), ours, DedupOptions.DEFAULTS));
        return new Duel(contestant(ours), contestant(never), () -> images.requireSame(ours));
    }

    private Contestant contestant(Path file) {
        return Contestant.java(() -> DedupImages.makeCold(file), () -> {
            if (use == Use.FULL_READ) {
                DedupImages.readThrough(file);
            } else {
                touch(file);
            }
        });
    }

    private static void touch(Path file) throws Exception {
        Posix posix = Posix.host();
        SplittableRandom random = new SplittableRandom(1);
        try (Descriptor open = Descriptor.open(posix, file, posix.constants().O_RDONLY, 0);
                Mapping mapping = Mapping.file(open, 0, LENGTH, Access.PRIVATE)) {
            long sum = 0;
            for (int page = 0; page < TOUCHED_PAGES; page++) {
                long at = random.nextLong(LENGTH / PAGE) * PAGE;
                sum += mapping.segment().get(ValueLayout.JAVA_BYTE, at);
            }
            if (sum == Long.MIN_VALUE) {
                throw new IllegalStateException("keeps the reads from being left out");
            }
        }
    }
}
