package io.microsnap.vmm;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.Export;
import io.microsnap.memory.internal.reader.FileMemoryReader;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.vmm.internal.firecracker.FirecrackerApi;
import io.microsnap.vmm.internal.firecracker.FirecrackerLayout;
import io.microsnap.vmm.internal.firecracker.StateFile;
import io.microsnap.vmm.internal.firecracker.Version;
import io.microsnap.vmm.internal.host.ChangedExtents;
import io.microsnap.vmm.internal.host.Jail;
import io.microsnap.vmm.internal.host.LateReader;
import io.microsnap.vmm.internal.host.NewDirectory;
import io.microsnap.vmm.internal.host.SmallFiles;
import io.microsnap.vmm.internal.host.VmmProcess;
import io.microsnap.vmm.internal.wire.HttpConnection;
import io.microsnap.vmm.internal.wire.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * A guest of Firecracker, reached over its API socket. Firecracker writes RAM and state to files in the scratch
 * directory; the state is kept as the attachment {@code firecracker.vmstate}, unread.
 */
public final class FirecrackerVmm extends DumpingVmm {
    /** The attachment that holds Firecracker's state. */
    static final String STATE = "firecracker.vmstate";
    /** The attachment that says which Firecracker it was. */
    static final String DESCRIPTION = "firecracker.json";

    private static final String MEMORY_FILE = "memory";
    private static final String STATE_FILE = "vmstate";
    private static final long MIB = 1L << 20;
    private static final Duration TO_START = Duration.ofSeconds(5);

    private FirecrackerApi api;
    private Version version;
    private Optional<ChangedExtents> changes = Optional.empty();
    private Path lastBake;

    private FirecrackerVmm(VmmOptions options) {
        super(options);
    }

    /** Connects. Throws at once if the guest cannot be baked; the message says what to do. */
    public static FirecrackerVmm open(VmmOptions options) throws IOException {
        return prepared(new FirecrackerVmm(options));
    }

    @Override
    void prepare() throws IOException {
        connect();
        api = new FirecrackerApi(http, options.patience());
        version = api.version();
        requireGuest("Firecracker", api.state());
        Json configuration = api.configuration();
        if (configuration.find("memory-hotplug").isPresent()) {
            throw new SnapshotException(options.socket() + ": the guest has memory that can be hot-plugged, and only"
                    + " RAM present from the start can be baked; start it without PUT /hotplug/memory");
        }
        Json machine = configuration.get("machine-config");
        GuestLayout layout = layout(version, machine.get("mem_size_mib").number());
        reader = new LateReader(layout);
        if (options.changesSince().isPresent()) {
            requireTracked(machine, layout);
            changes = Optional.of(new ChangedExtents(layout));
        }
        keepDisks(configuration, "drives", "path_on_host", "is_read_only");
        makeScratch();
        long start = process.startTime();
        lastBake = scratch.directory().resolveSibling("microsnap-" + process.pid() + "-" + start + ".last");
        Map<String, Object> description = new LinkedHashMap<>();
        description.put("format", 1L);
        description.put("version", version.toString());
        description.put("pid", process.pid());
        description.put("start_time", start);
        attachments.put(DESCRIPTION,
                scratch.write(DESCRIPTION, Json.write(description, true) + "\n"));
        attachments.put(STATE, scratch.file(STATE_FILE));
        startGuard(FirecrackerApi.RESUME);
    }

    private static GuestLayout layout(Version version, long mib) throws SnapshotException {
        boolean arm = System.getProperty("os.arch").equals("aarch64");
        return FirecrackerLayout.of(version, arm, mib * MIB, Posix.host().getpagesize());
    }

    private void requireTracked(Json machine, GuestLayout layout) throws SnapshotException {
        if (version.hasWrongDiffs() && layout.regions().size() > 1) {
            throw new SnapshotException("Firecracker " + version + " writes wrong diffs of guests with more than 3 GiB:"
                    + " bake without --diff, or use 1.14.2 or later");
        }
        if (!machine.isTrue("track_dirty_pages")) {
            throw new SnapshotException(options.socket() + ": Firecracker does not track this guest's writes: bake"
                    + " without --diff, or start the guest with track_dirty_pages");
        }
    }

    @Override
    void prepare(Capture capture, SnapshotStore store) throws IOException {
        super.prepare(capture, store);
        if (changes.isEmpty()) {
            return;
        }
        SnapshotReference base;
        SnapshotId id = options.changesSince().orElseThrow();
        try (HeldSnapshot held = store.hold(id)) {
            base = held.reference();
        }
        if (!Files.exists(lastBake) || !Files.readString(lastBake).equals(base.uuid().toString())) {
            throw new SnapshotException(id + " is not the last snapshot that was baked from " + process + ", or a"
                    + " later bake failed: the changes since are unknown. Bake without --diff, which compares"
                    + " everything");
        }
        DirtyTracker tracker = closing.add(DirtyTracker.of(reader.layout(), changes.get()));
        tracker.armRelativeTo(base);
        capture.tracker(tracker).base(id);
    }

    @Override
    void published(SnapshotReference snapshot) throws IOException {
        Files.writeString(lastBake, snapshot.uuid().toString());
    }

    @Override
    void pauseGuest() throws IOException {
        timed("pause", api::pause);
    }

    @Override
    void saveGuest() throws IOException {
        timed("dump", this::dump);
    }

    private void dump() throws IOException {
        // From now on Firecracker counts changes anew, even if this bake fails.
        Files.deleteIfExists(lastBake);
        Path memory = scratch.file(MEMORY_FILE);
        Path state = scratch.file(STATE_FILE);
        api.create(changes.isPresent(), Jail.asSeenInside(options.jail(), state),
                Jail.asSeenInside(options.jail(), memory), patienceForDump());
        if (version.hasChecksum()) {
            StateFile.requireWhole(options.posix(), state);
        }
        Descriptor file = closing.add(SmallFiles.open(options.posix(), memory));
        reader.dumped(FileMemoryReader.of(file, reader.layout()));
        if (changes.isPresent()) {
            changes.get().dumped(file);
        }
    }

    @Override
    void resumeGuest() throws IOException {
        timed("resume", api::resume);
    }

    /**
     * Writes the two files that Firecracker loads to a directory that must not exist or must be empty. Memory is cloned
     * where the filesystem can.
     */
    public static RestoredVmm restore(HeldSnapshot held, Path directory, Progress progress) throws IOException {
        if (!held.manifest().attachments().contains(STATE)) {
            throw new SnapshotException(held.id() + " was not baked from Firecracker (it has no attachment " + STATE
                    + "); restore its memory with --to");
        }
        try (NewDirectory made = NewDirectory.create(Posix.host(), directory)) {
            boolean cloned = Export.of(held).threads(Runtime.getRuntime().availableProcessors()).progress(progress)
                    .toFile(made.file(MEMORY_FILE), IfExists.REFUSE);
            made.copyAttachment((StoredSnapshot) held, STATE, STATE_FILE);
            made.commit();
            return new RestoredVmm(directory, held.layout().lengthBytes(), cloned, List.of(), List.of(
                    "the state names disks, taps and the vsock socket as they were: they must be there when it is"
                            + " loaded, and two guests cannot share them"));
        }
    }

    /** Loads a fresh Firecracker from such a directory, and lets the guest run. */
    public static void resume(VmmOptions options, Path directory) throws IOException {
        StateFile.requireWhole(options.posix(), directory.resolve(STATE_FILE));
        VmmProcess.await(options.posix(), options.socket(), OptionalLong.empty(), TO_START);
        try (HttpConnection http = HttpConnection.open(options.socket(), options.patience())) {
            FirecrackerApi api = new FirecrackerApi(http, options.patience());
            String state = api.state();
            if (!state.equals("Not started")) {
                throw new SnapshotException(options.socket() + ": this Firecracker has a guest already ('" + state
                        + "'); start a fresh one, and configure nothing but its log");
            }
            api.load(Jail.asSeenInside(options.jail(), directory.resolve(STATE_FILE)),
                    Jail.asSeenInside(options.jail(), directory.resolve(MEMORY_FILE)));
            api.resume();
        }
    }
}
