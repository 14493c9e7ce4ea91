package io.microsnap.cli;

import io.microsnap.registry.Pull;
import io.microsnap.registry.PullResult;
import io.microsnap.registry.RegistryReference;
import io.microsnap.registry.RemoteRepository;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.time.Duration;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "pull",
        mixinStandardHelpOptions = true,
        description = "Pulls a snapshot, and the bases it needs, from an OCI registry. Fetches only what the store"
                + " lacks, verifies every page, and continues an interrupted pull.",
        footerHeading = "%n",
        footer = "Example: microsnap pull --store /var/lib/snapshots --id base-1 localhost:5000/guests:base-1")
final class PullSnapshot extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Mixin
    private RegistryAccess access;

    @Parameters(index = "0", paramLabel = "REF",
            description = "The source: HOST[:PORT]/NAME:TAG or HOST[:PORT]/NAME@DIGEST")
    private RegistryReference reference;

    @Option(names = "--transfers", paramLabel = "N", description = "How many requests run at the same time.")
    private Integer transfers;

    @Override
    int run(Console console) throws IOException {
        long start = System.nanoTime();
        PullResult result;
        try (DirectoryStore open = store.openOrCreate(console);
                RemoteRepository remote = RemoteRepository.open(reference.repository(), access.options());
                ProgressLine progress = console.progress("pull")) {
            Pull pull = Pull.of(open, snapshot.id()).progress(progress);
            if (transfers != null) {
                pull.transfers(transfers);
            }
            result = pull.from(remote, reference);
        }
        Duration elapsed = Duration.ofNanos(System.nanoTime() - start);
        console.report(new Document().put("reference", reference).put("digest", result.digest())
                .put("published", result.published().stream().map(Manifests::document).toList())
                .put("received_bytes", result.receivedBytes()).put("local_bytes", result.localBytes())
                .put("elapsed_ms", elapsed));
        console.say(result.published().isEmpty() ? snapshot.id() + " is in the store already"
                : "pulled " + String.join(", ", result.published().stream().map(made -> made.id().name()).toList())
                        + ": " + Sizes.bytes(result.receivedBytes()) + " received, "
                        + Sizes.bytes(result.localBytes()) + " were here, in " + Sizes.time(elapsed));
        return ExitStatus.OK;
    }
}
