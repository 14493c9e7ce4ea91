package io.microsnap.cli;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.IoMode;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.core.internal.file.StorageOptions;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dedup.Accounting;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.internal.reader.FileMemoryReader;
import io.microsnap.memory.internal.state.MachineStateFile;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.SpaceUse;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.vmm.ExternalVmm;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "bake",
        mixinStandardHelpOptions = true,
        description = "Makes a snapshot of a running guest of QEMU, Firecracker or Cloud Hypervisor, over its VMM's own"
                + " socket, or of a paused VMM whose RAM is a file. With a base, only what differs from it is"
                + " stored.",
        footerHeading = "%n",
        footer = {
            "Example: microsnap bake --store /snapshots --id base-2 --base base-1 --qmp /run/guest.qmp",
            "Example: microsnap bake --store /snapshots --id base-2 --base base-1 --ram /dev/shm/guest.ram"
        })
final class Bake extends CliCommand {
    /** The section that holds the state of a foreign VMM. */
    static final String STATE_SECTION = "vmm";

    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Mixin
    private ExternalGuest guest;

    @Option(names = "--ram", paramLabel = "FILE", description = "The file that is the RAM of a paused guest, or a"
            + " block device, which no other program may use.")
    private Path ram;

    @Option(names = "--direct", description = "Leave the page cache as it is: the guest waits for the disk, and no"
            + " blocks are shared afterwards.")
    private boolean direct;

    @Option(names = {"--base", "--parent"}, paramLabel = "ID", description = "The snapshot to build on.")
    private SnapshotId base;

    @Option(names = "--image", paramLabel = "NAME", description = "The guest image it was baked from.")
    private String image;

    @Option(names = "--baked-by", paramLabel = "VERSION", description = "The version of the software that bakes.")
    private String bakedBy;

    @Option(names = "--region", paramLabel = "ADDR:SIZE",
            description = "A region of guest memory, in the order of the file; one from address 0 unless given.")
    private List<String> regions = List.of();

    @Option(names = "--state", paramLabel = "FILE", description = "The machine's state, as the VMM saved it.")
    private Path state;

    @Option(names = "--attach", paramLabel = "FILE", description = "A file of the same moment, such as a disk overlay.")
    private List<Path> attachments = List.of();

    @Option(names = "--label", paramLabel = "KEY=VALUE", description = "A label to find it by.")
    private Map<String, String> labels = new LinkedHashMap<>();

    @Option(names = "--replace", description = "Replace a snapshot of the same name.")
    private boolean replace;

    @Option(names = "--no-dedup", description = "Share no blocks with a sibling afterwards, as a full snapshot does for"
            + " at most 10 seconds unless MICROSNAP_AUTO_DEDUP=0 is in the environment.")
    private boolean noDedup;

    @Override
    int run(Console console) throws IOException {
        if (guest.isNamed()) {
            return bakeOverSocket(console);
        }
        if (ram == null) {
            throw usage("which guest? Name its RAM with --ram, or its VMM's socket with --qmp, --firecracker or"
                    + " --cloud-hypervisor");
        }
        CaptureResult result;
        SpaceUse space;
        try (StorageFile file = StorageFile.open(console.posix(), ram, StorageOptions.READ.with(io()))) {
            GuestLayout layout = layout(file, console.posix().getpagesize());
            requireDescribable(layout);
            FileMemoryReader reader = FileMemoryReader.of(file, layout);
            try (DirectoryStore open = store.openOrCreate(console);
                    ProgressLine progress = console.progress("bake")) {
                Capture capture = details(console, Capture.of(open, snapshot.id(), reader)).progress(progress);
                for (Path attachment : attachments) {
                    if (attachment.getFileName() == null) {
                        throw usage("--attach: " + attachment + " is not a file");
                    }
                    capture.attach(attachment.getFileName().toString(), attachment);
                }
                result = capture.take(PausableMachine.pausedAlready(readState(console)));
                space = open.space(snapshot.id());
            }
        }
        report(console, result, space, Map.of());
        return ExitStatus.OK;
    }

    private int bakeOverSocket(Console console) throws IOException {
        if (ram != null || state != null || !regions.isEmpty()) {
            throw usage("a VMM behind a socket supplies RAM and state itself: leave out --ram, --state and --region");
        }
        String mistake = guest.mistake(base);
        if (!mistake.isEmpty()) {
            throw usage(mistake);
        }
        try (ExternalVmm vmm = guest.open(attachments, base);
                SnapshotStore open = store.openOrCreate(console);
                ProgressLine progress = console.progress("bake")) {
            vmm.warnings().forEach(warning -> console.remark("microsnap: " + warning));
            CaptureResult result = vmm.bake(open, snapshot.id(),
                    capture -> details(console, capture).progress(progress));
            report(console, result, open.space(snapshot.id()), vmm.pauseParts());
        }
        return ExitStatus.OK;
    }

    private Capture details(Console console, Capture capture) {
        describe(capture);
        capture.ifExists(replace ? IfExists.REPLACE : IfExists.REFUSE)
                .io(io()).threads(Runtime.getRuntime().availableProcessors());
        share(console, capture);
        return base == null ? capture : capture.base(base);
    }

    private IoMode io() {
        return direct ? IoMode.UNCACHED : IoMode.CACHED;
    }

    private void share(Console console, Capture capture) {
        if (noDedup) {
            capture.withoutSharing();
        } else {
            // Ctrl-C ends only the sharing: the snapshot exists.
            capture.sharing(DedupOptions.DEFAULTS.with(Accounting.PAGES)
                    .with((done, total) -> console.interruption().check()));
        }
    }

    /** Opens a regular file; refuses anything else without blocking, because a pipe has no reliable length. */
    private static Descriptor open(Posix posix, Path path) throws IOException {
        Constants constants = posix.constants();
        Descriptor file = Descriptor.open(posix, path, constants.O_RDONLY | constants.O_NONBLOCK, 0);
        try {
            if (!file.status().isRegularFile()) {
                throw new SnapshotException(file + " is not a regular file");
            }
            return file;
        } catch (IOException refused) {
            try (file) {
                throw refused;
            }
        }
    }

    private GuestLayout layout(StorageFile file, int pageBytes) throws IOException {
        long sizeBytes = file.sizeBytes();
        if (sizeBytes == 0 || sizeBytes % pageBytes != 0) {
            throw new SnapshotException(file + " has " + sizeBytes + " bytes, not a whole number of pages of "
                    + pageBytes + ": is it the guest's RAM?");
        }
        try {
            return regions.isEmpty() ? GuestLayout.ofSingleRegion(pageBytes, sizeBytes)
                    : GuestLayout.of(pageBytes, Regions.parse(regions));
        } catch (IllegalArgumentException noLayout) {
            throw usage("--region: " + noLayout.getMessage());
        }
    }

    /** Refuses a description that a manifest cannot hold, before making a store. */
    private void requireDescribable(GuestLayout layout) {
        SnapshotDescription description = SnapshotDescription.full(layout);
        if (image != null) {
            description = description.withImage(image);
        }
        if (bakedBy != null) {
            description = description.withBakedByVersion(bakedBy);
        }
        for (Map.Entry<String, String> label : labels.entrySet()) {
            description = description.withLabel(label.getKey(), label.getValue());
        }
    }

    private void describe(Capture capture) {
        if (image != null) {
            capture.imageName(image);
        }
        if (bakedBy != null) {
            capture.bakerVersion(bakedBy);
        }
        labels.forEach(capture::label);
    }

    private List<MachineStateSection> readState(Console console) throws IOException {
        if (state == null) {
            return List.of();
        }
        try (Descriptor file = open(console.posix(), state)) {
            long sizeBytes = file.sizeBytes();
            if (sizeBytes == 0) {
                throw new SnapshotException(file + " reports a size of 0, as files of procfs do, so it is not a"
                        + " machine's state; leave out --state, or save the state to a plain file");
            }
            if (sizeBytes > MachineStateFile.LARGEST_STATE_BYTES) {
                throw new SnapshotException(file + " has " + sizeBytes + " bytes; a machine's state has at most "
                        + MachineStateFile.LARGEST_STATE_BYTES + "; attach larger files with --attach");
            }
            MemorySegment content = Arena.ofAuto().allocate(sizeBytes);
            file.readFully(content, 0);
            return List.of(new MachineStateSection(STATE_SECTION, content.asByteBuffer()));
        }
    }

    private void report(Console console, CaptureResult result, SpaceUse space, Map<String, Duration> parts) {
        String kind = result.kind().name().toLowerCase(Locale.ROOT);
        console.report(Manifests.document(result.manifest()).put("capture", kind).put("because", result.because())
                .put("pages", result.memory().pagesRecorded()).put("bytes_written", result.memory().bytesWritten())
                .put("space", Manifests.document(space)).put("pause_ms", result.times().pause())
                .put("pause_parts_ms", pauseParts(result, parts))
                .put("durable_ms", result.times().publish())
                .put("dedup", result.dedup().map(outcome -> Dedup.document(snapshot.id(), outcome))));
        console.say(snapshot.id() + ": " + Sizes.bytes(result.manifest().layout().lengthBytes()) + ", "
                + kind.replace('_', ' ') + ", " + Sizes.bytes(result.memory().bytesWritten()) + " written in "
                + Sizes.time(result.times().pause()) + ", durable after " + Sizes.time(result.times().publish())
                + " more");
        result.dedup().ifPresent(outcome -> console.say(Dedup.describe(snapshot.id(), outcome)));
        if (!parts.isEmpty()) {
            List<String> shown = new ArrayList<>();
            pauseParts(result, parts).forEach((part, time) -> shown.add(part.replace('_', ' ') + " "
                    + Sizes.time(time)));
            console.say("the guest was paused for " + Sizes.time(result.times().pause()) + ": "
                    + String.join(", ", shown));
        }
    }

    private static Map<String, Duration> pauseParts(CaptureResult result, Map<String, Duration> ofVmm) {
        Map<String, Duration> parts = new LinkedHashMap<>(ofVmm);
        parts.put("memory", result.times().memory());
        parts.put("attachments", result.times().attachments());
        return parts;
    }
}
