package io.microsnap.vmm;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Progress;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.vmm.internal.cloud.CloudApi;
import io.microsnap.vmm.internal.cloud.CloudDirectory;
import io.microsnap.vmm.internal.cloud.MemoryRanges;
import io.microsnap.vmm.internal.cloud.RangesReader;
import io.microsnap.vmm.internal.host.Jail;
import io.microsnap.vmm.internal.host.LateReader;
import io.microsnap.vmm.internal.host.NewDirectory;
import io.microsnap.vmm.internal.host.SmallFiles;
import io.microsnap.vmm.internal.host.VmmProcess;
import io.microsnap.vmm.internal.wire.HttpConnection;
import io.microsnap.vmm.internal.wire.Json;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * A guest of Cloud Hypervisor, reached over its API socket. Cloud Hypervisor writes its directory; configuration and
 * state are kept as attachments under their own names.
 */
public final class CloudHypervisorVmm extends DumpingVmm {
    private static final long GIB = 1L << 30;
    private static final long LOW_BYTES = 3 * GIB;
    private static final long START_OF_HIGH_RAM = 4 * GIB;
    private static final Duration TO_START = Duration.ofSeconds(5);

    private CloudApi api;

    private CloudHypervisorVmm(VmmOptions options) {
        super(options);
    }

    /** Connects. Throws at once if the guest cannot be baked; the message says what to do. */
    public static CloudHypervisorVmm open(VmmOptions options) throws IOException {
        return prepared(new CloudHypervisorVmm(options));
    }

    @Override
    void prepare() throws IOException {
        connect();
        api = new CloudApi(http, options.patience());
        Json info = api.info();
        requireGuest("Cloud Hypervisor", info.get("state").text());
        reader = new LateReader(layout(info.get("config").get("memory")));
        keepDisks(info.get("config"), "disks", "path", "readonly");
        makeScratch();
        attachments.put(CloudDirectory.CONFIG, scratch.file(CloudDirectory.CONFIG));
        attachments.put(CloudDirectory.STATE, scratch.file(CloudDirectory.STATE));
        startGuard(CloudApi.RESUME);
    }

    private GuestLayout layout(Json memory) throws SnapshotException {
        if (System.getProperty("os.arch").equals("aarch64")) {
            throw new SnapshotException("microsnap does not know where Cloud Hypervisor places RAM on AArch64: create"
                    + " a snapshot with ch-remote, and use microsnap import --cloud-hypervisor");
        }
        long sizeBytes = memory.get("size").number();
        Optional<Json> hotplugged = memory.find("hotplugged_size");
        if (hotplugged.isPresent() && hotplugged.get().number() > 0) {
            throw hotPlugged();
        }
        Optional<Json> zones = memory.find("zones");
        if (zones.isPresent() && !zones.get().list().isEmpty()) {
            sizeBytes = 0;
            for (Json zone : zones.get().list()) {
                requireWrittenOut(zone);
                sizeBytes += zone.get("size").number();
            }
        }
        int pageBytes = options.posix().getpagesize();
        if (sizeBytes <= 0 || sizeBytes % pageBytes != 0) {
            throw new SnapshotException(options.socket() + ": a guest of " + sizeBytes
                    + " bytes of RAM, not a whole number of pages of " + pageBytes);
        }
        return GuestLayout.of(pageBytes, sizeBytes <= LOW_BYTES ? List.of(new Region(0, sizeBytes))
                : List.of(new Region(0, LOW_BYTES), new Region(START_OF_HIGH_RAM, sizeBytes - LOW_BYTES)));
    }

    private SnapshotException hotPlugged() {
        return new SnapshotException(options.socket() + ": the guest has hot-plugged memory, and only RAM present"
                + " from the start can be baked; create a snapshot with ch-remote, and use microsnap import"
                + " --cloud-hypervisor");
    }

    private void requireWrittenOut(Json zone) throws SnapshotException {
        Optional<Json> hotplugged = zone.find("hotplugged_size");
        if (hotplugged.isPresent() && hotplugged.get().number() > 0) {
            throw hotPlugged();
        }
        if (zone.find("file").isPresent() && zone.isTrue("shared")) {
            throw new SnapshotException(options.socket() + ": the zone '" + zone.get("id").text() + "' is the file "
                    + zone.get("file").text() + ", mapped shared, and Cloud Hypervisor leaves it out of snapshots."
                    + " Pause the guest, and bake that file with --ram");
        }
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
        api.snapshot(Jail.asSeenInside(options.jail(), scratch.directory()), patienceForDump());
        MemoryRanges ranges = CloudDirectory.ranges(options.posix(), scratch.directory());
        GuestLayout found = ranges.layout(options.posix().getpagesize());
        if (!found.equals(reader.layout())) {
            throw new SnapshotException("the guest's memory was expected at " + reader.layout() + ", and Cloud"
                    + " Hypervisor wrote " + found + ". Create a snapshot with ch-remote, and use microsnap import"
                    + " --cloud-hypervisor");
        }
        Descriptor file = closing.add(SmallFiles.open(options.posix(), scratch.file(CloudDirectory.MEMORY)));
        reader.dumped(RangesReader.of(file, ranges, found));
    }

    @Override
    void resumeGuest() throws IOException {
        timed("resume", api::resume);
    }

    /**
     * Writes a directory in Cloud Hypervisor's own form; it must not exist or must be empty. Memory is cloned if the
     * filesystem can do that and the order of its ranges allows it.
     */
    public static RestoredVmm restore(HeldSnapshot held, Path directory, Progress progress) throws IOException {
        if (!held.manifest().attachments().contains(CloudDirectory.STATE)) {
            throw new SnapshotException(held.id() + " was not baked from Cloud Hypervisor (it has no attachment "
                    + CloudDirectory.STATE + "); restore its memory with --to");
        }
        try (NewDirectory made = NewDirectory.create(Posix.host(), directory)) {
            made.copyAttachment((StoredSnapshot) held, CloudDirectory.CONFIG, CloudDirectory.CONFIG);
            made.copyAttachment((StoredSnapshot) held, CloudDirectory.STATE, CloudDirectory.STATE);
            boolean cloned = CloudDirectory.writeMemory((StoredSnapshot) held, made, progress);
            made.commit();
            return new RestoredVmm(directory, held.layout().lengthBytes(), cloned, List.of(), List.of(
                    "config.json names disks, taps and sockets as they were: they must be there when it is loaded, and"
                            + " two guests cannot share them"));
        }
    }

    /** Loads such a directory into a Cloud Hypervisor that has no guest, and lets the guest run. */
    public static void resume(VmmOptions options, Path directory) throws IOException {
        MemoryRanges ranges = CloudDirectory.ranges(options.posix(), directory);
        VmmProcess.await(options.posix(), options.socket(), OptionalLong.empty(), TO_START);
        try (HttpConnection http = HttpConnection.open(options.socket(), options.patience())) {
            CloudApi api = new CloudApi(http, options.patience());
            if (api.hasGuest()) {
                throw new SnapshotException(options.socket() + ": this Cloud Hypervisor has a guest already; start one"
                        + " with --api-socket alone");
            }
            api.restore(Jail.asSeenInside(options.jail(), directory),
                    options.patience().plusMillis(ranges.lengthBytes() >> 16));
            api.resume();
        }
    }
}
