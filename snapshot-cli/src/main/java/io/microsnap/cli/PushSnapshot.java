package io.microsnap.cli;

import io.microsnap.registry.Push;
import io.microsnap.registry.PushResult;
import io.microsnap.registry.RegistryReference;
import io.microsnap.registry.RemoteRepository;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "push",
        mixinStandardHelpOptions = true,
        description = "Pushes a snapshot, and the bases it needs, to an OCI registry. Sends only what the registry"
                + " lacks; prints the digest.",
        footerHeading = "%n",
        footer = "Example: microsnap push --store /var/lib/snapshots --id base-1 localhost:5000/guests:base-1")
final class PushSnapshot extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Mixin
    private RegistryAccess access;

    @Parameters(index = "0", paramLabel = "REF", description = "The target: HOST[:PORT]/NAME:TAG, with @DIGEST if the"
            + " artifact must have that digest.")
    private RegistryReference reference;

    @Option(names = "--level", paramLabel = "N", defaultValue = "" + Push.DEFAULT_LEVEL,
            description = "Level of compression, 1 to 19 (default: ${DEFAULT-VALUE}). Other levels make other blobs.")
    private int level;

    @Option(names = "--threads", paramLabel = "N",
            description = "How many threads compress (default: the number of processors).")
    private Integer threads;

    @Option(names = "--transfers", paramLabel = "N", description = "How many packs are sent at a time.")
    private Integer transfers;

    @Option(names = "--mount-from", paramLabel = "NAME",
            description = "Look for the base and siblings in this repository of the same registry, too, and mount its"
                    + " blobs.")
    private List<String> repositories = List.of();

    @Override
    int run(Console console) throws IOException {
        long start = System.nanoTime();
        PushResult result;
        try (DirectoryStore open = store.open(console);
                RemoteRepository remote = RemoteRepository.open(reference.repository(), access.options());
                ProgressLine progress = console.progress("push")) {
            Push push = Push.of(open, snapshot.id()).level(level).progress(progress);
            repositories.forEach(push::mountFrom);
            if (threads != null) {
                push.threads(threads);
            }
            if (transfers != null) {
                push.transfers(transfers);
            }
            result = push.to(remote, reference);
        }
        Duration elapsed = Duration.ofNanos(System.nanoTime() - start);
        console.report(new Document().put("reference", reference).put("digest", result.digest())
                .put("pushed", result.pushed().stream().map(Manifests::document).toList())
                .put("donor", result.donor().map(Manifests::document)).put("sent_bytes", result.sentBytes())
                .put("artifact_bytes", result.lengthBytes()).put("elapsed_ms", elapsed));
        console.say(result.digest());
        console.remark("pushed " + String.join(", ", result.pushed().stream()
                .map(made -> made.id().name()).toList()) + " to " + reference.repository() + ": "
                + Sizes.bytes(result.sentBytes()) + " sent of " + Sizes.bytes(result.lengthBytes())
                + result.donor().map(donor -> ", shared with " + donor.id()).orElse("") + ", in "
                + Sizes.time(elapsed));
        return ExitStatus.OK;
    }
}
