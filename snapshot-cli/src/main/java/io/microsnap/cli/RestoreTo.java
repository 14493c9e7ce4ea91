package io.microsnap.cli;

import io.microsnap.core.IfExists;
import io.microsnap.core.IoMode;
import io.microsnap.core.SnapshotException;
import io.microsnap.memory.Export;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "restore",
        mixinStandardHelpOptions = true,
        description = "Writes a snapshot's memory to a file, in the form that VMMs read: sparse, and cloned where the"
                + " filesystem can. Also writes the state and the attachments that were baked with it.",
        footerHeading = "%n",
        footer = {
            "Example: microsnap restore --store /var/lib/snapshots --id base-1 --to /dev/shm/guest.ram",
            "Example: microsnap restore --store /var/lib/snapshots --id base-1 --qemu /var/lib/guests/copy-1"
        })
final class RestoreTo extends CliCommand {
    private static final String MEMORY = "memory.img";
    private static final String STATE = "state";
    private static final String ATTACHMENTS = "attachments";

    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Mixin
    private CopyForVmm copy;

    @Option(names = "--to", paramLabel = "FILE", description = "The file for its memory; or, with --replace, a block"
            + " device that is not in use, whose content after the memory stays.")
    private Path memoryTo;

    @Option(names = "--direct", description = "Leave the page cache as it is.")
    private boolean direct;

    @Option(names = "--state-to", paramLabel = "FILE", description = "The file for the machine's state, as bake"
            + " --state took it.")
    private Path stateTo;

    @Option(names = "--attachments-to", paramLabel = "DIR", description = "The directory for its attachments, as bake"
            + " --attach took them; made if missing.")
    private Path attachmentsTo;

    @Option(names = "--all-to", paramLabel = "DIR", description = "The directory for all of these: " + MEMORY
            + ", and " + STATE + " and " + ATTACHMENTS + "/ if there are any; made if missing.")
    private Path allTo;

    @Option(names = "--replace", description = "Replace existing files, or the content of a block device.")
    private boolean replace;

    @Option(names = "--no-verify", description = "Do not check pages against their checksums; cloned pages are then"
            + " not read.")
    private boolean unchecked;

    @Override
    int run(Console console) throws IOException {
        if (copy.isWanted()) {
            if (memoryTo != null || stateTo != null || attachmentsTo != null || allTo != null || replace) {
                throw usage("a directory for a VMM is always new and complete: leave out --replace and the other"
                        + " targets");
            }
            if (direct) {
                throw usage("a VMM maps the files in its directory through the page cache: leave out --direct");
            }
            return copy.make(console, store, snapshot.id());
        }
        if (memoryTo == null && stateTo == null && attachmentsTo == null && allTo == null) {
            throw usage("name a target: --to FILE, --state-to FILE, --attachments-to DIR or --all-to DIR;"
                    + " or make a directory for a VMM with --qemu, --firecracker or --cloud-hypervisor");
        }
        if (allTo != null && (memoryTo != null || stateTo != null || attachmentsTo != null)) {
            throw usage("--all-to DIR covers everything; leave out --to, --state-to and --attachments-to");
        }
        long start = System.nanoTime();
        Document document = new Document().put("id", snapshot.id());
        List<String> lines = new ArrayList<>();
        try (DirectoryStore open = store.open(console); StoredSnapshot held = open.hold(snapshot.id())) {
            restore(console, held, document, lines);
        }
        Duration elapsed = Duration.ofNanos(System.nanoTime() - start);
        console.report(document.put("elapsed_ms", elapsed));
        lines.forEach(console::say);
        return ExitStatus.OK;
    }

    /** Writes memory last, because it takes longest: once it exists, all other files exist, too. */
    private void restore(Console console, StoredSnapshot held, Document document, List<String> lines)
            throws IOException {
        IfExists ifExists = replace ? IfExists.REPLACE : IfExists.REFUSE;
        try (RestoredFiles files = new RestoredFiles(console.posix(), ifExists)) {
            Places places = places(held, files);
            Optional<Path> state = places.state();
            if (state.isPresent()) {
                files.state(held, state.get());
                lines.add(state.get() + ": the machine's state");
            }
            List<Path> attachments = places.attachments().isEmpty() ? List.of()
                    : files.attachments(held, places.attachments().get());
            attachments.forEach(file -> lines.add(file + ": attached"));
            long start = System.nanoTime();
            Optional<Boolean> cloned = Optional.empty();
            OptionalLong behind = OptionalLong.empty();
            if (places.memory().isPresent()) {
                Path file = places.memory().get();
                try (ProgressLine progress = console.progress("restore")) {
                    Export export = Export.of(held).threads(Runtime.getRuntime().availableProcessors())
                            .io(direct ? IoMode.UNCACHED : IoMode.CACHED).progress(progress);
                    Export wanted = unchecked ? export.unchecked() : export;
                    behind = files.memoryToDevice(wanted, file);
                    cloned = Optional.of(behind.isEmpty() && files.memory(wanted, file));
                }
                lines.add(file + ": " + Sizes.bytes(held.layout().lengthBytes())
                        + (cloned.get() ? ", cloned" : ", copied") + (unchecked ? "" : " and verified") + " in "
                        + Sizes.time(Duration.ofNanos(System.nanoTime() - start)));
            }
            if (behind.orElse(0) > 0) {
                lines.add(places.memory().get() + ": the " + behind.getAsLong()
                        + " bytes after the memory are unchanged");
            }
            files.keep();
            document.put("file", places.memory()).put("size_bytes", held.layout().lengthBytes()).put("cloned", cloned)
                    .put("bytes_behind", behind.isPresent() ? Optional.of(behind.getAsLong()) : Optional.empty())
                    .put("verified", places.memory().map(file -> !unchecked)).put("state_file", state)
                    .put("attachments", attachments);
        }
    }

    private record Places(Optional<Path> memory, Optional<Path> state, Optional<Path> attachments) {
    }

    private Places places(StoredSnapshot held, RestoredFiles files) throws IOException {
        if (allTo == null) {
            if (stateTo != null && !RestoredFiles.hasState(held)) {
                throw new SnapshotException(held.id() + " was baked without a machine's state; leave out --state-to");
            }
            return new Places(Optional.ofNullable(memoryTo), Optional.ofNullable(stateTo),
                    Optional.ofNullable(attachmentsTo));
        }
        files.directory(allTo);
        return new Places(Optional.of(allTo.resolve(MEMORY)),
                RestoredFiles.hasState(held) ? Optional.of(allTo.resolve(STATE)) : Optional.empty(),
                held.manifest().attachments().isEmpty() ? Optional.empty() : Optional.of(allTo.resolve(ATTACHMENTS)));
    }
}
