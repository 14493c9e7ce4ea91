package io.microsnap.cli;

import io.microsnap.core.CancelledException;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.dedup.BatchOptions;
import io.microsnap.dedup.BatchReport;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.dedup.DedupReport;
import io.microsnap.dedup.Engine;
import io.microsnap.dedup.Estimate;
import io.microsnap.dedup.SiblingPolicy;
import io.microsnap.dedup.StoreBatch;
import io.microsnap.dedup.StoreDeduplicator;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "dedup",
        mixinStandardHelpOptions = true,
        description = "Lets snapshots share the blocks they have in common: one snapshot, or each of the store with the"
                + " most alike of those older than it. What they hold does not change.",
        footerHeading = "%n",
        footer = "Example: microsnap dedup --store /var/lib/snapshots --dry-run")
final class Dedup extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Option(names = "--id", paramLabel = "ID", description = "The snapshot's name; all of the store's without it.")
    private SnapshotId id;

    @Option(names = "--against", paramLabel = "ID", description = "Share with this snapshot, and not with the most"
            + " alike. Needs --id.")
    private SnapshotId canonical;

    @Option(names = "--dry-run", description = "Tell what could be shared, by the page indexes; change nothing.")
    private boolean dryRun;

    @Override
    int run(Console console) throws IOException {
        if (canonical != null && id == null) {
            throw usage("--against ID says with what; --id ID must say which snapshot");
        }
        if (canonical != null && dryRun) {
            throw usage("--dry-run tells of the most alike siblings; leave out --against");
        }
        try (SnapshotStore open = store.open(console)) {
            if (dryRun) {
                return estimate(console, open);
            }
            return id == null ? all(console, open) : one(console, open);
        }
    }

    private int estimate(Console console, SnapshotStore open) throws IOException {
        List<Document> documents = new ArrayList<>();
        Table table = new Table("ID", ">ALIKE", "WITH", "WHY");
        long all = 0;
        StoreBatch batch = new StoreBatch(open);
        List<Estimate> estimates = id == null ? batch.estimate(SiblingPolicy.MOST_ALIKE)
                : List.of(batch.estimate(id, SiblingPolicy.MOST_ALIKE));
        for (Estimate estimate : estimates) {
            all += estimate.equalBytes();
            documents.add(new Document().put("id", estimate.target().id())
                    .put("sibling", estimate.sibling().map(sibling -> sibling.reference().id()))
                    .put("equal_bytes", estimate.equalBytes()));
            table.row(estimate.target().id().name(), Sizes.bytes(estimate.equalBytes()),
                    estimate.sibling().map(sibling -> sibling.reference().id().name()).orElse("-"),
                    estimate.sibling().map(sibling -> sibling.why()).orElse("no sibling"));
        }
        console.report(new Document().put("dry_run", true).put("equal_bytes", all).put("snapshots", documents));
        console.say(table);
        console.say("At most " + Sizes.bytes(all) + " could be shared; some of it may be shared already.");
        return ExitStatus.OK;
    }

    private int all(Console console, SnapshotStore open) throws IOException {
        List<Document> documents = new ArrayList<>();
        BatchReport report;
        try (ProgressLine progress = console.progress("dedup")) {
            report = new StoreBatch(open).run(BatchOptions.DEFAULTS.with(progress));
        }
        boolean failed = false;
        for (BatchReport.Entry entry : report.entries()) {
            documents.add(document(entry.target().id(), entry.outcome()));
            console.say(describe(entry.target().id(), entry.outcome()));
            failed |= entry.outcome() instanceof DedupOutcome.Failed;
        }
        console.report(new Document().put("dry_run", false).put("shared_bytes", report.sharedBytes())
                .put("cancelled", report.cancelled()).put("snapshots", documents).put("elapsed_ms", report.time()));
        if (report.cancelled()) {
            throw new CancelledException("interrupted; what was shared stays shared, run it again to go on");
        }
        console.say(Sizes.bytes(report.sharedBytes()) + " shared in " + Sizes.time(report.time()));
        return failed ? ExitStatus.FAILED : ExitStatus.OK;
    }

    private int one(Console console, SnapshotStore open) throws IOException {
        StoreDeduplicator deduplicator = new StoreDeduplicator(open);
        DedupOutcome outcome;
        try (ProgressLine progress = console.progress("dedup")) {
            DedupOptions options = DedupOptions.DEFAULTS.with(progress);
            outcome = canonical == null
                    ? deduplicator.deduplicate(id, SiblingPolicy.MOST_ALIKE, options)
                    : deduplicator.deduplicate(id, canonical, options);
        }
        if (outcome instanceof DedupOutcome.Failed failed) {
            throw new SnapshotException(id + " could not be deduplicated and is as it was: "
                    + failed.cause().getMessage(), failed.cause());
        }
        console.report(new Document().put("dry_run", false).put("snapshots", List.of(document(id, outcome))));
        console.say(describe(id, outcome));
        return ExitStatus.OK;
    }

    private static Document document(SnapshotId target, DedupOutcome outcome) {
        Document document = new Document().put("id", target);
        return switch (outcome) {
            case DedupOutcome.Deduplicated(DedupReport report) -> document.put("outcome", "deduplicated")
                    .put("reason", null).put("engine", report.engine().map(Dedup::name))
                    .put("sibling", report.sibling().map(sibling -> sibling.reference().id()))
                    .put("pages_equal", report.pages().equal()).put("pages_different", report.pages().different())
                    .put("pages_written", report.pages().written()).put("shared_bytes", report.sharedBytes())
                    .put("elapsed_ms", report.time().total());
            case DedupOutcome.LeftAlone alone -> document.put("outcome", "left_alone")
                    .put("reason", alone.reason().name().toLowerCase(Locale.ROOT));
            case DedupOutcome.Failed(Exception cause) -> document.put("outcome", "failed")
                    .put("reason", Failure.of(cause).message());
        };
    }

    private static String describe(SnapshotId target, DedupOutcome outcome) {
        return switch (outcome) {
            case DedupOutcome.Deduplicated(DedupReport report) -> target + ": shares "
                    + Sizes.bytes(report.sharedBytes()) + " more with "
                    + report.sibling().map(sibling -> sibling.reference().id().name()).orElse("another") + ", in "
                    + Sizes.time(report.time().total());
            case DedupOutcome.LeftAlone alone -> target + ": left alone: " + alone.explanation();
            case DedupOutcome.Failed(Exception cause) -> target + ": FAILED, as it was: "
                    + Failure.of(cause).message();
        };
    }

    private static String name(Engine engine) {
        return engine.name().toLowerCase(Locale.ROOT);
    }
}
