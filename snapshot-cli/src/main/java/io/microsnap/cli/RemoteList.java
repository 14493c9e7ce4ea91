package io.microsnap.cli;

import io.microsnap.registry.RemoteEntry;
import io.microsnap.registry.RemoteRepository;
import io.microsnap.registry.RepositoryName;
import io.microsnap.store.internal.StoredManifest;
import java.io.IOException;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(
        name = "list",
        mixinStandardHelpOptions = true,
        description = "Lists the snapshots that have a tag in a repository of a registry.",
        footerHeading = "%n",
        footer = "Example: microsnap remote list localhost:5000/guests")
final class RemoteList extends CliCommand {
    @Mixin
    private RegistryAccess access;

    @Parameters(index = "0", paramLabel = "REPOSITORY", description = "HOST[:PORT]/NAME")
    private RepositoryName repository;

    @Override
    int run(Console console) throws IOException {
        List<RemoteEntry> entries;
        try (RemoteRepository remote = RemoteRepository.open(repository, access.options())) {
            entries = remote.list();
        }
        List<Document> documents = new ArrayList<>();
        Table table = new Table("TAG", "ID", "KIND", ">RAM", ">BLOBS", "CREATED", "DIGEST");
        for (RemoteEntry entry : entries) {
            StoredManifest manifest = StoredManifest.of(entry.manifest());
            documents.add(new Document().put("tag", entry.tag()).put("digest", entry.digest())
                    .put("artifact_bytes", entry.lengthBytes()).put("snapshot", Manifests.document(manifest)));
            table.row(entry.tag(), manifest.id().name(), manifest.kind().toString(),
                    Sizes.bytes(manifest.layout().lengthBytes()), Sizes.bytes(entry.lengthBytes()),
                    manifest.created().truncatedTo(ChronoUnit.SECONDS).toString(), entry.digest());
        }
        console.report(new Document().put("repository", repository).put("snapshots", documents));
        if (entries.isEmpty()) {
            console.say(repository + " holds no snapshots");
        } else {
            console.say(table);
        }
        return ExitStatus.OK;
    }
}
