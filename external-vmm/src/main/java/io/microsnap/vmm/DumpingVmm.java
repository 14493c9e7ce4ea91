package io.microsnap.vmm;

import io.microsnap.core.PageReader;
import io.microsnap.core.SnapshotException;
import io.microsnap.vmm.internal.guard.ResumeGuard;
import io.microsnap.vmm.internal.host.GuestDisks;
import io.microsnap.vmm.internal.host.LateReader;
import io.microsnap.vmm.internal.host.Scratch;
import io.microsnap.vmm.internal.host.VmmProcess;
import io.microsnap.vmm.internal.wire.HttpConnection;
import io.microsnap.vmm.internal.wire.Json;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Bakes guests of VMMs that have an HTTP API, and write a paused guest's memory and state to scratch files. */
abstract sealed class DumpingVmm extends ExternalVmm permits FirecrackerVmm, CloudHypervisorVmm {
    VmmProcess process;
    HttpConnection http;
    LateReader reader;

    DumpingVmm(VmmOptions options) {
        super(options);
    }

    /** Connects to the VMM. */
    final void connect() throws IOException {
        process = VmmProcess.behind(options.posix(), options.socket(), options.process());
        http = closing.add(HttpConnection.open(options.socket(), options.patience()));
    }

    /** Makes the scratch directory, where the VMM will write. */
    final void makeScratch() throws IOException {
        Path parent = options.scratch().orElseThrow(() -> new SnapshotException(options.socket() + ": the VMM writes"
                + " the guest's memory to a file first, as long as its RAM; name a directory with --scratch DIR, best"
                + " on a tmpfs or on the store's own filesystem"));
        scratch = closing.add(Scratch.in(parent, process));
    }

    /** Notes whether the guest runs; refuses a VMM that has none. */
    final void requireGuest(String vmm, String state) throws SnapshotException {
        if (!state.equals("Running") && !state.equals("Paused")) {
            throw new SnapshotException(options.socket() + ": there is no guest to bake: " + vmm + " says '" + state
                    + "'");
        }
        wasRunning = state.equals("Running");
    }

    /** Looks for the guest's disks, as the VMM's configuration lists them, among the files to be kept. */
    final void keepDisks(Json configuration, String list, String path, String readOnly) throws IOException {
        List<GuestDisks.Disk> disks = new ArrayList<>();
        Optional<Json> listed = configuration.find(list);
        if (listed.isPresent()) {
            for (Json disk : listed.get().list()) {
                Optional<Json> file = disk.find(path);
                if (file.isPresent()) {
                    disks.add(new GuestDisks.Disk(file.get().text(), disk.isTrue(readOnly)));
                }
            }
        }
        keepDisks(GuestDisks.of(disks, process, options.attachments()));
    }

    /** Starts the guard, which would resume the guest with this request: method, path and body. */
    final void startGuard(String request) throws IOException {
        guard = closing.add(ResumeGuard.overHttp(options.socket(), scratch.directory(),
                wasRunning && !options.leavesPaused() ? List.of(request) : List.of()));
    }

    /** Returns the time limit for a VMM that writes all of its RAM. */
    final Duration patienceForDump() {
        return options.patience().plusMillis(reader.layout().lengthBytes() >> 16);
    }

    @Override
    public final PageReader reader() {
        return reader;
    }

    @Override
    final boolean isReadableWhileRunning() {
        return false;
    }
}
