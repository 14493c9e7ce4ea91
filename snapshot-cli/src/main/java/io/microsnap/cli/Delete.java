package io.microsnap.cli;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.store.SnapshotRequiredException;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.util.List;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "delete",
        mixinStandardHelpOptions = true,
        description = "Deletes a snapshot, unless another one needs it or a program uses it.",
        footerHeading = "%n",
        footer = "Example: microsnap delete --store /var/lib/snapshots --id base-1")
final class Delete extends CliCommand {
    private static final int NAMED = 20;

    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Option(names = "--force", description = "Delete it even if a program uses it, which keeps its open files, or if"
            + " an unreadable snapshot may need it.")
    private boolean force;

    @Override
    int run(Console console) throws IOException {
        try (DirectoryStore open = store.open(console)) {
            try {
                if (force) {
                    open.deleteForcibly(snapshot.id());
                } else {
                    open.delete(snapshot.id());
                }
            } catch (SnapshotRequiredException required) {
                throw needed(console, open.dependents(snapshot.id()), required);
            }
        }
        console.report(new Document().put("deleted", snapshot.id()));
        console.say("deleted " + snapshot.id());
        return ExitStatus.OK;
    }

    /** Returns a failure that names the order in which to delete all of them, and how to keep the dependents. */
    private SnapshotException needed(Console console, List<SnapshotId> order, SnapshotRequiredException required) {
        if (order.isEmpty()) {
            return required;
        }
        String names = order.stream().limit(NAMED).map(SnapshotId::name).collect(Collectors.joining(", "))
                + (order.size() > NAMED ? " and " + (order.size() - NAMED) + " more, which --json names" : "");
        SnapshotException failure = new SnapshotException(snapshot.id() + " is needed by other snapshots; delete them"
                + " first, in this order: " + names + "; or keep them, and run compact --id with each of: "
                + required.dependents().stream().limit(NAMED).map(SnapshotId::name).collect(Collectors.joining(", ")),
                required);
        console.report(Failure.of(failure).document().put("dependents", order)
                .put("direct_dependents", required.dependents()));
        return failure;
    }
}
