package io.microsnap.vmm;

import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.SnapshotException;
import io.microsnap.vmm.internal.guard.ResumeGuard;
import io.microsnap.vmm.internal.host.GuestDisks;
import io.microsnap.vmm.internal.host.LateReader;
import io.microsnap.vmm.internal.host.Scratch;
import io.microsnap.vmm.internal.host.VmmProcess;
import io.microsnap.vmm.internal.wire.HttpConnection;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A VMM with an HTTP API that writes a paused guest's memory and state to files of ours. */
abstract sealed class DumpingVmm extends ExternalVmm permits FirecrackerVmm, CloudHypervisorVmm {
    final VmmOptions options;
    final Closing closing = new Closing();
    final List<String> warnings = new ArrayList<>();
    final Map<String, Path> attachments = new LinkedHashMap<>();
    private final List<String> clones = new ArrayList<>();
    private final Map<String, Duration> parts = new LinkedHashMap<>();
    VmmProcess process;
    HttpConnection http;
    Scratch scratch;
    LateReader reader;
    boolean wasRunning;
    private ResumeGuard guard;
    private boolean saved;

    DumpingVmm(VmmOptions options) {
        this.options = options;
    }

    /** Pauses a running guest. */
    abstract void pauseGuest() throws IOException;

    /** Has the VMM write memory and state, checks them, and gives memory to the reader. */
    abstract void dump() throws IOException;

    /** Lets the guest run. */
    abstract void resumeGuest() throws IOException;

    /** Connects to the VMM. */
    final void connect() throws IOException {
        process = VmmProcess.behind(options.posix(), options.socket(), options.process());
        http = closing.add(HttpConnection.open(options.socket(), options.patience()));
    }

    /** Makes the scratch directory, where the VMM will write. */
    final void makeScratch() throws IOException {
        Path parent = options.scratch().orElseThrow(() -> new SnapshotException(options.socket() + ": the VMM writes"
                + " the"
                + " guest's memory to a file first, as long as its RAM; say where with --scratch DIR, best on a tmpfs"
                + " or on the store's own filesystem"));
        scratch = closing.add(Scratch.in(parent, process));
    }

    /** Looks for the guest's disks among the files to be kept. */
    final void keepDisks(List<GuestDisks.Disk> disks) throws IOException {
        GuestDisks found = GuestDisks.of(disks, process, options.attachments());
        warnings.addAll(found.warnings());
        attachments.putAll(found.attached());
        clones.addAll(found.names());
    }

    /** Starts the guard, which would resume the guest with this request: method, path and body. */
    final void startGuard(String request) throws IOException {
        guard = closing.add(ResumeGuard.overHttp(options.socket(), scratch.directory(),
                wasRunning && !options.leavesPaused() ? List.of(request) : List.of()));
    }

    /** How long the VMM may take to write all of its RAM. */
    final Duration patienceForDump() {
        return options.patience().plusMillis(reader.layout().lengthBytes() >> 16);
    }

    @Override
    public final PageReader reader() {
        return reader;
    }

    @Override
    public final List<String> warnings() {
        return List.copyOf(warnings);
    }

    @Override
    public final Map<String, Duration> pauseParts() {
        return new LinkedHashMap<>(parts);
    }

    @Override
    final Map<String, Path> attachments() {
        return new LinkedHashMap<>(attachments);
    }

    @Override
    final List<String> clonedAttachments() {
        return List.copyOf(clones);
    }

    @Override
    final boolean isReadableWhileRunning() {
        return false;
    }

    @Override
    public final void pause() throws IOException {
        guard.arm();
        if (wasRunning) {
            timed("pause", this::pauseGuest);
        }
    }

    @Override
    public final List<MachineStateSection> saveState() throws IOException {
        timed("dump", this::dump);
        saved = true;
        return List.of();
    }

    @Override
    public final void resume() throws IOException {
        if (wasRunning && !(saved && options.leavesPaused())) {
            timed("resume", this::resumeGuest);
        }
        guard.disarm();
    }

    private interface Step {
        void take() throws IOException;
    }

    private void timed(String part, Step step) throws IOException {
        long start = System.nanoTime();
        step.take();
        parts.put(part, Duration.ofNanos(System.nanoTime() - start));
    }

    @Override
    public final void close() throws IOException {
        closing.close();
    }
}
