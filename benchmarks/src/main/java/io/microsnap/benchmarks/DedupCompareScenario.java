package io.microsnap.benchmarks;

import io.microsnap.dedup.Accounting;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.dedup.DedupReport;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.nio.file.Path;

/** The comparison alone: two warm images, nothing known of them. */
final class DedupCompareScenario implements Scenario {
    private static final long LENGTH = 1L << 30;
    private static final int RUN_BYTES = 64 * 4096;
    private static final int DIFFERING_PERCENT = 5;

    private final int threads;

    DedupCompareScenario(int threads) {
        this.threads = threads;
    }

    @Override
    public String name() {
        return "dedup/compare/" + threads + "-threads";
    }

    @Override
    public String question() {
        return "1 GiB compared with 1 GiB, both warm, page by page, beside memcmp over mappings populated before";
    }

    /** One thread alone copies what it compares, so that a file that shrinks does not end the JVM: it is only shown. */
    @Override
    public Target target() {
        return threads > 1 ? Target.speedAtLeast(0.7) : Target.none();
    }

    @Override
    public long workingSetBytes() {
        return 3 * LENGTH;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(FileSystemKind.XFS);
        DedupImages images = DedupImages.make(directory, LENGTH, RUN_BYTES, DIFFERING_PERCENT);
        Path ours = directory.resolve("ours");
        images.renew(ours);
        DedupOptions options = DedupOptions.DEFAULTS.with(Accounting.PAGES).withThreads(threads);
        return new Duel(
                () -> comparing(Deduplicator.estimateFiles(images.canonical(), ours, options)),
                workbench.peer(DedupCompareScenario.class, "compare_pages.c", images.canonical(), ours),
                () -> images.requireSame(ours));
    }

    private static long comparing(DedupOutcome outcome) throws IOException {
        if (outcome instanceof DedupOutcome.Deduplicated(DedupReport report)
                && report.pages().read() == report.pages().all()) {
            return report.time().comparing().toNanos();
        }
        throw new IOException("not every page was compared: " + outcome);
    }
}
