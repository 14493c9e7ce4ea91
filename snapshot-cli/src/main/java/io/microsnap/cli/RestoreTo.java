package io.microsnap.cli;

import io.microsnap.core.internal.file.IfExists;
import io.microsnap.memory.Export;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "restore",
        mixinStandardHelpOptions = true,
        description = "Writes a snapshot's memory to a file, as a VMM whose RAM is a file reads it: sparse, and cloned"
                + " where the filesystem can.",
        footerHeading = "%n",
        footer = "Example: microsnap restore --store /var/lib/snapshots --id base-1 --to /dev/shm/guest.ram")
final class RestoreTo extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Option(names = "--to", paramLabel = "FILE", required = true, description = "The file to make.")
    private Path file;

    @Option(names = "--replace", description = "Replace an existing file.")
    private boolean replace;

    @Override
    int run(Console console) throws IOException {
        long start = System.nanoTime();
        long lengthBytes;
        boolean cloned;
        try (SnapshotStore open = store.open(console.posix()); HeldSnapshot held = open.hold(snapshot.id());
                ProgressLine progress = console.progress("restore")) {
            lengthBytes = held.layout().lengthBytes();
            cloned = Export.toFile(held, console.posix(), file, replace ? IfExists.REPLACE : IfExists.REFUSE, progress);
        }
        Duration elapsed = Duration.ofNanos(System.nanoTime() - start);
        console.report(new Document().put("id", snapshot.id()).put("file", file).put("size_bytes", lengthBytes)
                .put("cloned", cloned).put("elapsed_ms", elapsed));
        console.say(file + ": " + Sizes.bytes(lengthBytes) + (cloned ? ", cloned" : ", copied") + " in "
                + Sizes.time(elapsed));
        return ExitStatus.OK;
    }
}
