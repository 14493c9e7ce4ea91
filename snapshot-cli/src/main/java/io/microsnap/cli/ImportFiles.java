package io.microsnap.cli;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.SnapshotId;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureResult;
import io.microsnap.store.SnapshotStore;
import io.microsnap.vmm.VmmFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "import",
        mixinStandardHelpOptions = true,
        description = "Makes a snapshot of files that Firecracker or Cloud Hypervisor wrote for other tools.",
        footerHeading = "%n",
        footer = {
            "Example: microsnap import --store /snapshots --id base-1 --firecracker memory vmstate",
            "Example: microsnap import --store /snapshots --id base-2 --firecracker diff vmstate-2 --diff --base"
                    + " base-1"
        })
final class ImportFiles extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @ArgGroup(multiplicity = "1")
    private Files files;

    @Option(names = {"--base", "--parent"}, paramLabel = "ID", description = "The snapshot to build on.")
    private SnapshotId base;

    @Option(names = "--diff", description = "Firecracker's memory file is a diff: its holes mean that memory is as"
            + " in the base.")
    private boolean diff;

    @Option(names = "--region", paramLabel = "ADDR:SIZE", description = "A region of guest memory, in the order of"
            + " Firecracker's memory file; by default the regions of Firecracker 1.13 and later.")
    private List<String> regions = List.of();

    @Option(names = "--replace", description = "Replace a snapshot of the same name.")
    private boolean replace;

    /** The files, of one kind. */
    private static final class Files {
        @Option(names = "--firecracker", paramLabel = "MEMORY VMSTATE", arity = "2", description = "The two files of a"
                + " Firecracker snapshot.")
        private List<Path> firecracker;

        @Option(names = "--cloud-hypervisor", paramLabel = "DIR", description = "The directory of a Cloud Hypervisor"
                + " snapshot.")
        private Path cloudHypervisor;
    }

    @Override
    int run(Console console) throws IOException {
        if (files.firecracker == null && (diff || !regions.isEmpty())) {
            throw usage("--diff and --region are for --firecracker");
        }
        if (diff && base == null) {
            throw usage("--diff needs the --base that it is relative to");
        }
        // Report a mistake before making a store.
        Optional<GuestLayout> layout = layout(console);
        CaptureResult result;
        try (SnapshotStore open = store.openOrCreate(console);
                ProgressLine progress = console.progress("import")) {
            if (files.firecracker == null) {
                result = VmmFiles.importCloudHypervisor(open, snapshot.id(), files.cloudHypervisor,
                        capture -> details(capture).progress(progress));
            } else {
                VmmFiles.Firecracker pair = new VmmFiles.Firecracker(files.firecracker.get(0),
                        files.firecracker.get(1), layout, diff ? Optional.of(base) : Optional.empty());
                result = VmmFiles.importFirecracker(open, snapshot.id(), pair,
                        capture -> details(capture).progress(progress));
            }
            String kind = result.kind().name().toLowerCase(Locale.ROOT);
            console.report(Manifests.document(result.manifest()).put("capture", kind).put("because", result.because())
                    .put("pages", result.memory().pagesRecorded()).put("bytes_written", result.memory().bytesWritten())
                    .put("space", Manifests.document(open.space(snapshot.id()))));
            console.say(snapshot.id() + ": " + Sizes.bytes(result.manifest().layout().lengthBytes()) + ", "
                    + kind.replace('_', ' ') + ", " + Sizes.bytes(result.memory().bytesWritten()) + " written");
        }
        return ExitStatus.OK;
    }

    private Capture details(Capture capture) {
        capture.ifExists(replace ? IfExists.REPLACE : IfExists.REFUSE)
                .threads(Runtime.getRuntime().availableProcessors());
        return base == null ? capture : capture.base(base);
    }

    private Optional<GuestLayout> layout(Console console) {
        try {
            return regions.isEmpty() ? Optional.empty()
                    : Optional.of(GuestLayout.of(console.posix().getpagesize(), Regions.parse(regions)));
        } catch (IllegalArgumentException noLayout) {
            throw usage("--region: " + noLayout.getMessage());
        }
    }
}
