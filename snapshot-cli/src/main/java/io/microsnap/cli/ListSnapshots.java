package io.microsnap.cli;

import io.microsnap.core.SnapshotReference;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredManifest;
import java.io.IOException;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

@Command(
        name = "list",
        mixinStandardHelpOptions = true,
        description = "Lists the snapshots of a store, also damaged ones, with the damage.",
        footerHeading = "%n",
        footer = "Example: microsnap list --store /var/lib/snapshots")
final class ListSnapshots extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Override
    int run(Console console) throws IOException {
        List<Document> snapshots = new ArrayList<>();
        List<Document> damaged = new ArrayList<>();
        List<Document> unreadable = new ArrayList<>();
        Table table = new Table("ID", "KIND", ">RAM", "CREATED", "BASE");
        try (DirectoryStore open = store.open(console)) {
            for (SnapshotEntry entry : open.list()) {
                switch (entry) {
                    case SnapshotEntry.Whole whole -> {
                        StoredManifest manifest = StoredManifest.of(whole.manifest());
                        snapshots.add(Manifests.document(manifest));
                        table.row(entry.name(), manifest.kind().toString(),
                                Sizes.bytes(manifest.layout().lengthBytes()),
                                manifest.created().truncatedTo(ChronoUnit.SECONDS).toString(),
                                manifest.base().map(SnapshotReference::id).map(Object::toString).orElse("-"));
                    }
                    case SnapshotEntry.Damaged broken -> {
                        damaged.add(new Document().put("name", broken.name()).put("reason", broken.reason()));
                        table.row(broken.name(), "damaged", "-", "-", broken.reason());
                    }
                    case SnapshotEntry.Unreadable unknown -> {
                        unreadable.add(new Document().put("name", unknown.name()).put("reason", unknown.reason()));
                        table.row(unknown.name(), "unreadable", "-", "-", unknown.reason());
                    }
                }
            }
        }
        console.report(new Document().put("store", store.directory()).put("snapshots", snapshots)
                .put("damaged", damaged).put("unreadable", unreadable));
        if (snapshots.isEmpty() && damaged.isEmpty() && unreadable.isEmpty()) {
            console.say(store.directory() + " holds no snapshots");
        } else {
            console.say(table);
        }
        return ExitStatus.OK;
    }
}
