package io.microsnap.benchmarks;

import io.microsnap.dedup.Accounting;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.testsupport.FileSystemKind;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** Beside the tool that is there for files of any kind. */
final class DuperemoveScenario implements Scenario {
    private static final long LENGTH = 256L << 20;
    private static final int RUN_BYTES = 64 * 4096;
    private static final int DIFFERING_PERCENT = 5;

    @Override
    public String name() {
        return "dedup/xfs/duperemove";
    }

    @Override
    public String question() {
        return "256 MiB of which 5 % differ in runs, beside duperemove -d on the same pair, sync included";
    }

    @Override
    public Target target() {
        return Target.none();
    }

    @Override
    public long workingSetBytes() {
        return 4 * LENGTH;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        boolean there = Stream.of(System.getenv("PATH").split(":"))
                .anyMatch(directory -> Files.isExecutable(Path.of(directory, "duperemove")));
        if (!there) {
            throw new Workbench.UnavailableException("there is no duperemove; to enable: apt-get install duperemove");
        }
        Path directory = workbench.directory(FileSystemKind.XFS);
        DedupImages images = DedupImages.make(directory, LENGTH, RUN_BYTES, DIFFERING_PERCENT);
        Path ours = directory.resolve("ours");
        Path theirs = directory.resolve("theirs");
        DedupOptions options = DedupOptions.DEFAULTS.with(Accounting.PAGES);
        return new Duel(
                Contestant.java(() -> images.renew(ours),
                        () -> DedupScenario.report(Deduplicator.deduplicateFiles(images.canonical(), ours, options))),
                Contestant.command(() -> images.renew(theirs),
                        "duperemove", "-d", images.canonical().toString(), theirs.toString()),
                () -> images.requireSame(theirs));
    }
}
