package io.microsnap.cli;

import io.microsnap.memory.Export;
import io.microsnap.store.SpaceUse;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.time.Duration;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

@Command(
        name = "compact",
        mixinStandardHelpOptions = true,
        description = "Makes a snapshot complete, so that the bases it needed may be deleted. It keeps its bytes and"
                + " its id; snapshots that need it and programs that use it are not affected.",
        footerHeading = "%n",
        footer = "Example: microsnap compact --store /var/lib/snapshots --id base-7")
final class CompactSnapshot extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Override
    int run(Console console) throws IOException {
        long start = System.nanoTime();
        boolean changed;
        SpaceUse space;
        try (DirectoryStore open = store.open(console)) {
            try (ProgressLine progress = console.progress("compact")) {
                changed = Export.compact(
                        open, snapshot.id(), Runtime.getRuntime().availableProcessors(), progress);
            }
            space = open.space(snapshot.id());
        }
        Duration elapsed = Duration.ofNanos(System.nanoTime() - start);
        console.report(new Document().put("id", snapshot.id()).put("compacted", changed)
                .put("space", Manifests.document(space)).put("elapsed_ms", elapsed));
        console.say(changed ? snapshot.id() + ": complete, takes " + Sizes.bytes(space.allocatedBytes()) + "; made in "
                + Sizes.time(elapsed) : snapshot.id() + ": was complete, and needs no base");
        return ExitStatus.OK;
    }
}
