package io.microsnap.cli;

import io.microsnap.core.CancelledException;
import io.microsnap.core.SnapshotId;
import io.microsnap.memory.Prune;
import io.microsnap.store.Manifest;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "prune",
        mixinStandardHelpOptions = true,
        description = "Deletes all snapshots but the newest. A kept snapshot that needs a deleted one is first made"
                + " complete, as compact does. Snapshots in use and damaged ones stay.",
        footerHeading = "%n",
        footer = "Example: microsnap prune --store /var/lib/snapshots --keep 7 --label vm=web")
final class PruneStore extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Option(names = "--keep", paramLabel = "N", required = true, description = "How many to keep; at least 1.")
    private int keep;

    @Option(names = "--label", paramLabel = "KEY=VALUE", description = "Count and delete only snapshots with this"
            + " label; with several, those that have all of them. The others stay.")
    private Map<String, String> labels = new LinkedHashMap<>();

    @Option(names = "--dry-run", description = "Show the plan; change nothing.")
    private boolean dryRun;

    @Override
    int run(Console console) throws IOException {
        if (keep < 1) {
            throw usage("--keep " + keep + ": keep at least 1; delete --id deletes single snapshots");
        }
        try (DirectoryStore open = store.open(console)) {
            Prune prune = Prune.of(open, keep).threads(Runtime.getRuntime().availableProcessors());
            labels.forEach(prune::labelled);
            return dryRun ? plan(console, prune.plan()) : prune(console, prune);
        }
    }

    private static int plan(Console console, Prune.Plan plan) {
        console.report(document(true, ids(plan.keep()), ids(plan.compact()), ids(plan.delete()), Map.of(), false));
        plan.compact().forEach(manifest -> console.say("would compact " + manifest.id()));
        plan.delete().forEach(manifest -> console.say("would delete " + manifest.id()));
        console.say("would keep " + plan.keep().size() + ", compact " + plan.compact().size() + ", delete "
                + plan.delete().size());
        return ExitStatus.OK;
    }

    private static int prune(Console console, Prune prune) throws IOException {
        Prune.Report report;
        try (ProgressLine progress = console.progress("prune")) {
            report = prune.progress(progress).run();
        }
        console.report(document(
                false, report.kept(), report.compacted(), report.deleted(), report.left(), report.cancelled()));
        report.compacted().forEach(id -> console.say("compacted " + id));
        report.deleted().forEach(id -> console.say("deleted " + id));
        report.left().forEach((id, reason) -> console.say("LEFT " + id + ": " + Failure.of(reason).message()));
        if (report.cancelled()) {
            throw new CancelledException("interrupted; finished snapshots stay as they are, run it again to continue");
        }
        console.say("kept " + report.kept().size() + ", compacted " + report.compacted().size() + ", deleted "
                + report.deleted().size());
        return report.left().values().stream().mapToInt(reason -> Failure.of(reason).status()).max()
                .orElse(ExitStatus.OK);
    }

    private static Document document(boolean dryRun, List<SnapshotId> kept, List<SnapshotId> compacted,
            List<SnapshotId> deleted, Map<SnapshotId, IOException> left, boolean cancelled) {
        List<Document> reasons = new ArrayList<>();
        left.forEach((id, reason) -> reasons.add(
                new Document().put("id", id).put("reason", Failure.of(reason).message())));
        return new Document().put("dry_run", dryRun).put("kept", kept).put("compacted", compacted)
                .put("deleted", deleted).put("left", reasons).put("cancelled", cancelled);
    }

    private static List<SnapshotId> ids(List<Manifest> manifests) {
        return manifests.stream().map(Manifest::id).toList();
    }
}
