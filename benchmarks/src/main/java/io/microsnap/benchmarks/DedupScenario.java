package io.microsnap.benchmarks;

import io.microsnap.dedup.Accounting;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.dedup.DedupReport;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.dedup.Engine;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;

/** Shares the equal part of two images that differ in a twentieth, all of it warm; until the sync. */
final class DedupScenario implements Scenario {
    static final int RUN_BYTES = 64 * 4096;
    static final int DIFFERING_PERCENT = 5;

    private final FileSystemKind kind;
    private final long bytes;
    private final Engine engine;
    private final Target target;

    DedupScenario(FileSystemKind kind, long bytes, Engine engine, double speed) {
        this.kind = kind;
        this.bytes = bytes;
        this.engine = engine;
        this.target = Target.speedAtLeast(speed);
    }

    @Override
    public String name() {
        return "dedup/" + kind.name().toLowerCase(Locale.ROOT) + "/" + Sizes.name(bytes) + "/"
                + engine.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    @Override
    public String question() {
        return Unit.BYTES.text(bytes) + " of which " + DIFFERING_PERCENT
                + " % differ in runs, two warm files without indexes,"
                + " beside clone, compare with the clone, write what differs";
    }

    @Override
    public Target target() {
        return target;
    }

    @Override
    public long workingSetBytes() {
        return 4 * bytes;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(kind);
        DedupImages images = DedupImages.make(directory, bytes, RUN_BYTES, DIFFERING_PERCENT);
        Path ours = directory.resolve("ours");
        Path peers = directory.resolve("peers");
        DedupOptions options = DedupOptions.DEFAULTS.with(engine).with(Accounting.PAGES);
        return new Duel(
                () -> {
                    images.renew(ours);
                    long start = System.nanoTime();
                    DedupOutcome outcome = Deduplicator.deduplicateFiles(images.canonical(), ours, options);
                    long all = System.nanoTime() - start;
                    return all - report(outcome).time().publishing().toNanos();
                },
                workbench.peer(DedupScenario.class, "clone_and_diff.c", images.canonical(), images.pristine(), peers),
                () -> {
                    images.requireSame(ours);
                    images.requireSame(peers);
                });
    }

    static DedupReport report(DedupOutcome outcome) throws IOException {
        if (outcome instanceof DedupOutcome.Deduplicated(DedupReport report)) {
            return report;
        }
        throw new IOException("nothing was shared: " + outcome);
    }
}
