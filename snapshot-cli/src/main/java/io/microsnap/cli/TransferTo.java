package io.microsnap.cli;

import io.microsnap.core.SnapshotReference;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "transfer",
        mixinStandardHelpOptions = true,
        description = "Copies a snapshot, and the bases it needs, into another store; shares blocks where possible.",
        footerHeading = "%n",
        footer = "Example: microsnap transfer --store /var/lib/snapshots --id base-1 --to-store /mnt/backup")
final class TransferTo extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Option(names = "--to-store", paramLabel = "DIR", required = true,
            description = "The store to copy to; made if missing.")
    private Path destination;

    @Option(names = "--no-verify", description = "Do not check pages against their checksums; cloned pages are then"
            + " not read.")
    private boolean unchecked;

    @Override
    int run(Console console) throws IOException {
        List<SnapshotReference> made;
        try (DirectoryStore from = store.open(console);
                DirectoryStore to = DirectoryStore.openOrCreate(console.posix(), destination,
                        store.options(console));
                ProgressLine progress = console.progress("transfer")) {
            made = unchecked ? from.transferUnchecked(snapshot.id(), to, progress)
                    : from.transfer(snapshot.id(), to, progress);
        }
        console.report(new Document().put("to_store", destination)
                .put("transferred", made.stream().map(Manifests::document).toList()));
        console.say("transferred to " + destination + ": "
                + (made.isEmpty() ? "nothing; all of it exists there" : String.join(", ",
                        made.stream().map(reference -> reference.id().name()).toList())));
        return ExitStatus.OK;
    }
}
