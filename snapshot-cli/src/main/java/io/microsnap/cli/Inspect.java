package io.microsnap.cli;

import io.microsnap.core.Region;
import io.microsnap.core.SnapshotReference;
import io.microsnap.memory.internal.state.MachineStateFile;
import io.microsnap.store.SpaceUse;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFile;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredManifest;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "inspect",
        mixinStandardHelpOptions = true,
        description = "Shows a snapshot's manifest and its space.",
        footerHeading = "%n",
        footer = "Example: microsnap inspect --store /var/lib/snapshots --id base-1 --hex")
final class Inspect extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Option(names = "--hex", description = "Show the machine's state, byte for byte.")
    private boolean hex;

    @Override
    int run(Console console) throws IOException {
        try (DirectoryStore open = store.open(console)) {
            StoredManifest manifest = open.inspect(snapshot.id());
            SpaceUse space = open.space(snapshot.id());
            Optional<String> dump = hex ? dump(open, manifest) : Optional.empty();
            Document document = Manifests.document(manifest).put("space", Manifests.document(space));
            if (hex) {
                document.put("machine_state_hex", dump);
            }
            console.report(document);
            show(console, manifest, space);
            dump.ifPresent(text -> text.lines().forEach(console::say));
        }
        return ExitStatus.OK;
    }

    private static Optional<String> dump(DirectoryStore open, StoredManifest manifest) throws IOException {
        if (!manifest.hasMachineState()) {
            return Optional.empty();
        }
        try (StoredSnapshot held = open.hold(manifest.id())) {
            return Optional.of(MachineStateFile.hexDump(MachineStateFile.read(held.open(SnapshotFiles.MACHINE))));
        }
    }

    private static void show(Console console, StoredManifest manifest, SpaceUse space) {
        SnapshotDescription description = manifest.description();
        console.say("id        " + manifest.id());
        console.say("uuid      " + manifest.uuid());
        console.say("kind      " + manifest.kind());
        console.say("created   " + manifest.created());
        description.image().ifPresent(image -> console.say("image     " + image));
        description.bakedByVersion().ifPresent(version -> console.say("baked by  " + version));
        description.parent().ifPresent(parent -> console.say("parent    " + parent));
        description.base().ifPresent(base -> console.say("base      " + base + needed(description, base)));
        description.labels().forEach((key, value) -> console.say("label     " + key + "=" + value));
        description.requires().forEach(feature -> console.say("requires  " + feature));
        console.say("memory    " + Sizes.bytes(manifest.layout().lengthBytes()) + " in pages of "
                + Sizes.bytes(manifest.layout().pageBytes()));
        for (Region region : manifest.layout().regions()) {
            console.say(String.format("region    0x%x: %s", region.guestAddress(), Sizes.bytes(region.lengthBytes())));
        }
        console.say("space     " + Sizes.bytes(space.logicalBytes()) + " logical, "
                + Sizes.bytes(space.allocatedBytes()) + " allocated, "
                + (space.exclusiveBytes().isPresent() ? Sizes.bytes(space.exclusiveBytes().getAsLong()) : "unknown")
                + " exclusive");
        Table files = new Table("FILE", ">LENGTH", "DIGEST");
        for (SnapshotFile file : manifest.files()) {
            files.row(file.name(), Sizes.bytes(file.lengthBytes()), file.digest());
        }
        console.say(files);
    }

    private static String needed(SnapshotDescription description, SnapshotReference base) {
        return description.requiredBase().filter(base::equals).isPresent() ? ", required" : ", may be gone";
    }
}
