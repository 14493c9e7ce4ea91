package io.microsnap.cli;

import io.microsnap.core.IfExists;
import io.microsnap.core.internal.file.CopyOptions;
import io.microsnap.core.internal.file.CopyResult;
import io.microsnap.core.internal.file.CopyStrategy;
import io.microsnap.core.internal.file.FileCopy;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "copy",
        mixinStandardHelpOptions = true,
        description = "Copies a file: cloned where the filesystem can, sparse where it cannot, whole or not at all."
                + " Either may be a block device that is not in use; with --replace a device is written in place,"
                + " zeros too, and its content after the copy stays.",
        footerHeading = "%n",
        footer = "Example: microsnap copy memory.img /backup/memory.img")
final class Copy extends CliCommand {
    @Parameters(index = "0", paramLabel = "SRC", description = "The file to copy.")
    private Path source;

    @Parameters(index = "1", paramLabel = "DST", description = "The file to make.")
    private Path destination;

    @Option(names = "--strategy", paramLabel = "HOW", defaultValue = "auto",
            description = "auto (default): clone, else sparse; reflink: clone or fail; sparse; unshared: sparse, and no"
                    + " block is shared.")
    private CopyStrategy strategy;

    @Option(names = "--replace", description = "Replace an existing file, or the content of a block device.")
    private boolean replace;

    @Override
    int run(Console console) throws IOException {
        DirectoryStore.requireOutside(console.posix(), destination);
        CopyResult result;
        try (ProgressLine progress = console.progress("copy")) {
            result = new FileCopy(new Reflink()).copy(console.posix(), source, destination, CopyOptions.DEFAULTS
                    .with(strategy).with(replace ? IfExists.REPLACE : IfExists.REFUSE).with(progress));
        }
        String method = result.method().name().toLowerCase(Locale.ROOT);
        console.report(new Document().put("source", source).put("destination", destination).put("method", method)
                .put("size_bytes", result.sizeBytes()).put("data_bytes", result.dataBytes())
                .put("elapsed_ms", result.elapsed()));
        console.say(destination + ": " + Sizes.bytes(result.sizeBytes()) + " " + method.replace('_', ' ') + ", "
                + Sizes.bytes(result.dataBytes()) + " moved in " + Sizes.time(result.elapsed()));
        return ExitStatus.OK;
    }
}
