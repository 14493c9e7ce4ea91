package io.microsnap.cli;

import io.microsnap.core.CancelledException;
import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.dedup.Accounting;
import io.microsnap.dedup.BatchReport;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.dedup.DedupReport;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.dedup.Engine;
import io.microsnap.dedup.Estimate;
import io.microsnap.dedup.Sibling;
import io.microsnap.dedup.SiblingPolicy;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "dedup",
        mixinStandardHelpOptions = true,
        description = "Makes snapshots share the blocks they have in common: one snapshot, or each in the store with"
                + " its most similar older one. Their content does not change.",
        footerHeading = "%n",
        footer = "Example: microsnap dedup --store /var/lib/snapshots --dry-run")
final class Dedup extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Option(names = "--id", paramLabel = "ID", description = "The snapshot's name; without it all snapshots of the"
            + " store.")
    private SnapshotId id;

    @Option(names = "--against", paramLabel = "ID", description = "Share with this snapshot instead of the most"
            + " similar one. Needs --id.")
    private SnapshotId canonical;

    @Option(names = "--budget", paramLabel = "EXTENTS", defaultValue = "2048",
            description = "How many extents an image may have for each GiB of it (default: ${DEFAULT-VALUE}): the"
                    + " longest runs are shared first. all: share everything that is equal.")
    private String budget;

    @Option(names = "--engine", paramLabel = "HOW",
            description = "share-in-place (default on btrfs): the kernel compares and shares, the image stays the"
            + " same file; on XFS, images in use are left alone. clone-and-swap (default elsewhere): a clone takes"
            + " its place; what uses the old file keeps it, and its space, until it ends.")
    private String engine;

    @Option(names = "--dry-run",
            description = "Estimate the sharing from page indexes and extents; change nothing.")
    private boolean dryRun;

    @Override
    int run(Console console) throws IOException {
        if (canonical != null && id == null) {
            throw usage("--against needs --id, the snapshot to deduplicate");
        }
        DedupOptions options = options();
        try (DirectoryStore open = store.open(console)) {
            if (dryRun) {
                return estimate(console, open, options.with(Accounting.PAGES));
            }
            return id == null ? all(console, open, options) : one(console, open, options);
        }
    }

    private DedupOptions options() {
        DedupOptions options = DedupOptions.DEFAULTS.with(Accounting.FREE_SPACE).with(policy());
        if (engine == null) {
            return options;
        }
        return switch (engine) {
            case "share-in-place" -> options.with(Engine.SHARE_IN_PLACE);
            case "clone-and-swap" -> options.with(Engine.CLONE_AND_SWAP);
            default -> throw usage("--engine: '" + engine + "' is unknown; use share-in-place or clone-and-swap");
        };
    }

    private FragmentationPolicy policy() {
        if (budget.equals("all")) {
            return FragmentationPolicy.DEFAULT.sharingEverything();
        }
        try {
            return FragmentationPolicy.DEFAULT.withExtentsPerGiBToShare(Long.parseLong(budget));
        } catch (IllegalArgumentException notANumber) {
            throw usage("--budget: '" + budget + "' is neither a number of extents for each GiB, from 0 on, nor 'all'");
        }
    }

    private int estimate(Console console, DirectoryStore open, DedupOptions options) throws IOException {
        List<Document> documents = new ArrayList<>();
        Table table = new Table("ID", ">ALIKE", ">WOULD SHARE", "WITH", "WHY");
        long equal = 0;
        long sharable = 0;
        int status = ExitStatus.OK;
        for (Estimate estimate : estimates(open, options)) {
            equal += estimate.equalBytes();
            sharable += estimate.sharableBytes();
            Optional<String> sibling = estimate.sibling().map(found -> found.reference().id().name());
            String why = switch (estimate.expected()) {
                case DedupOutcome.LeftAlone alone -> alone.explanation();
                case DedupOutcome.Failed(Exception cause) -> "UNKNOWN: " + Failure.of(cause).message();
                case DedupOutcome.Deduplicated _ -> estimate.sibling().map(Sibling::why).orElse("");
            };
            status = Math.max(status, status(estimate.expected()));
            documents.add(new Document().put("id", estimate.target().id()).put("sibling", sibling)
                    .put("equal_bytes", estimate.equalBytes()).put("sharable_bytes", estimate.sharableBytes())
                    .put("reason", reason(estimate.expected())));
            table.row(estimate.target().id().name(), Sizes.bytes(estimate.equalBytes()),
                    Sizes.bytes(estimate.sharableBytes()), sibling.orElse("-"), why);
        }
        console.report(new Document().put("dry_run", true).put("equal_bytes", equal).put("sharable_bytes", sharable)
                .put("snapshots", documents));
        console.say(table);
        console.say(Sizes.bytes(sharable) + " would be shared.");
        return status;
    }

    private List<Estimate> estimates(DirectoryStore open, DedupOptions options) throws IOException {
        if (id == null) {
            return new Deduplicator(open).estimateAll(SiblingPolicy.MOST_ALIKE, options);
        }
        Deduplicator deduplicator = new Deduplicator(open);
        return List.of(canonical == null ? deduplicator.estimate(id, SiblingPolicy.MOST_ALIKE, options)
                : deduplicator.estimate(id, canonical, options));
    }

    private static Optional<String> reason(DedupOutcome outcome) {
        return switch (outcome) {
            case DedupOutcome.LeftAlone alone -> Optional.of(alone.reason().name().toLowerCase(Locale.ROOT));
            case DedupOutcome.Failed(Exception cause) -> Optional.of(Failure.of(cause).message());
            case DedupOutcome.Deduplicated _ -> Optional.empty();
        };
    }

    /** Returns the exit status; damage has its own here, too. */
    private static int status(DedupOutcome outcome) {
        return outcome instanceof DedupOutcome.Failed(Exception cause) ? Failure.of(cause).status() : ExitStatus.OK;
    }

    private int all(Console console, DirectoryStore open, DedupOptions options) throws IOException {
        List<Document> documents = new ArrayList<>();
        BatchReport report;
        try (ProgressLine progress = console.progress("dedup")) {
            report = new Deduplicator(open).deduplicateAll(SiblingPolicy.MOST_ALIKE, options.with(progress));
        }
        int status = ExitStatus.OK;
        for (BatchReport.Entry entry : report.entries()) {
            documents.add(document(entry.target().id(), entry.outcome()));
            console.say(describe(entry.target().id(), entry.outcome()));
            status = Math.max(status, status(entry.outcome()));
        }
        console.report(new Document().put("dry_run", false).put("shared_bytes", report.sharedBytes())

                .put("freed_bytes", freed(report.freeBytesBefore(), report.freeBytesAfter()))
                .put("cancelled", report.cancelled()).put("snapshots", documents).put("elapsed_ms", report.time()));
        if (report.cancelled()) {
            throw new CancelledException("interrupted; blocks shared so far stay shared, run it again to continue");
        }
        console.say(Sizes.bytes(report.sharedBytes()) + " shared in " + Sizes.time(report.time())
                + returned(report.freeBytesBefore(), report.freeBytesAfter()));
        return status;
    }

    private int one(Console console, DirectoryStore open, DedupOptions asked) throws IOException {
        Deduplicator deduplicator = new Deduplicator(open);
        DedupOutcome outcome;
        try (ProgressLine progress = console.progress("dedup")) {
            DedupOptions options = asked.with(progress);
            outcome = canonical == null
                    ? deduplicator.deduplicate(id, SiblingPolicy.MOST_ALIKE, options)
                    : deduplicator.deduplicate(id, canonical, options);
        }
        if (outcome instanceof DedupOutcome.Failed failed) {
            String what = id + " could not be deduplicated and is as it was: " + failed.cause().getMessage();
            throw failed.cause() instanceof DamagedException ? new DamagedException(what, failed.cause())
                    : new SnapshotException(what, failed.cause());
        }
        console.report(new Document().put("dry_run", false).put("snapshots", List.of(document(id, outcome))));
        console.say(describe(id, outcome));
        return ExitStatus.OK;
    }

    static Document document(SnapshotId target, DedupOutcome outcome) {
        Document document = new Document().put("id", target);
        return switch (outcome) {
            case DedupOutcome.Deduplicated(DedupReport report) -> document.put("outcome", "deduplicated")
                    .put("reason", null).put("engine", report.engine().map(Dedup::name))
                    .put("sibling", report.sibling().map(sibling -> sibling.reference().id()))
                    .put("pages_equal", report.pages().equal()).put("pages_different", report.pages().different())
                    .put("pages_written", report.pages().written()).put("shared_bytes", report.sharedBytes())
                    .put("freed_bytes", freed(report.freeBytesBefore(), report.freeBytesAfter()))
                    .put("elapsed_ms", report.time().total());
            case DedupOutcome.LeftAlone alone -> document.put("outcome", "left_alone")
                    .put("reason", alone.reason().name().toLowerCase(Locale.ROOT));
            case DedupOutcome.Failed(Exception cause) -> document.put("outcome", "failed")
                    .put("reason", Failure.of(cause).message());
        };
    }

    static String describe(SnapshotId target, DedupOutcome outcome) {
        return switch (outcome) {
            case DedupOutcome.Deduplicated(DedupReport report) -> target + ": shares "
                    + Sizes.bytes(report.sharedBytes()) + " more with "
                    + report.sibling().map(sibling -> sibling.reference().id().name()).orElse("another") + ", in "
                    + Sizes.time(report.time().total())
                    + returned(report.freeBytesBefore(), report.freeBytesAfter());
            case DedupOutcome.LeftAlone alone -> target + ": left alone: " + alone.explanation();
            case DedupOutcome.Failed(Exception cause) -> target + ": FAILED, as it was: "
                    + Failure.of(cause).message();
        };
    }

    private static String name(Engine engine) {
        return engine.name().toLowerCase(Locale.ROOT);
    }

    /** Returns the difference of free space. Writes and deletions by other programs count, too. */
    private static Optional<Long> freed(OptionalLong before, OptionalLong after) {
        return before.isPresent() && after.isPresent()
                ? Optional.of(after.getAsLong() - before.getAsLong()) : Optional.empty();
    }

    private static String returned(OptionalLong before, OptionalLong after) {
        return freed(before, after).filter(bytes -> bytes > 0)
                .map(bytes -> "; the filesystem has " + Sizes.bytes(bytes) + " more free").orElse("");
    }
}
