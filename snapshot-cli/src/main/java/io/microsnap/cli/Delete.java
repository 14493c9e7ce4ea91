package io.microsnap.cli;

import io.microsnap.store.IfHeld;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "delete",
        mixinStandardHelpOptions = true,
        description = "Deletes a snapshot, unless another one needs it or somebody uses it.",
        footerHeading = "%n",
        footer = "Example: microsnap delete --store /var/lib/snapshots --id base-1")
final class Delete extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Option(names = "--force", description = "Delete it although somebody uses it; they keep what they have open.")
    private boolean force;

    @Override
    int run(Console console) throws IOException {
        try (SnapshotStore open = store.open(console.posix())) {
            open.delete(snapshot.id(), force ? IfHeld.DELETE : IfHeld.REFUSE);
        }
        console.report(new Document().put("deleted", snapshot.id()));
        console.say("deleted " + snapshot.id());
        return ExitStatus.OK;
    }
}
