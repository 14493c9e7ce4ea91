package io.microsnap.vmm;

import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.ReflinkOutcome;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.CapturedSnapshot;
import io.microsnap.memory.PreparedCapture;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.vmm.internal.guard.ResumeGuard;
import io.microsnap.vmm.internal.host.GuestDisks;
import io.microsnap.vmm.internal.host.Scratch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;

/**
 * A guest in another process, reached by its VMM's own socket. Opening one prepares it: this checks everything that can
 * be checked while the guest runs, and starts a guard that resumes the guest if this process dies while the guest is
 * paused. Then call {@link #bake}, or pass this as the {@link PausableMachine} to a {@link Capture} of the {@link
 * #reader}.
 *
 * <p>However a capture ends, a guest that ran before then runs again, unless the options say otherwise.
 */
public abstract sealed class ExternalVmm implements PausableMachine, AutoCloseable permits QemuVmm, DumpingVmm {
    /** Files up to this length are copied in a rehearsal, too. */
    private static final long LARGEST_REHEARSED_BYTES = 1 << 20;
    /** After this many rehearsals the JVM has compiled the code of the pause; more gained nothing. */
    private static final int MOST_REHEARSALS = 6;
    /** No further rehearsal starts after this: a large guest takes long to compare. */
    private static final long TO_REHEARSE_NANOS = TimeUnit.MILLISECONDS.toNanos(1500);

    final VmmOptions options;
    final Closing closing = new Closing();
    final List<String> warnings = new ArrayList<>();
    /** The files that belong to a snapshot, by their attachment names; all of them exist once the state is saved. */
    final Map<String, Path> attachments = new LinkedHashMap<>();
    Scratch scratch;
    ResumeGuard guard;
    boolean wasRunning;
    private final List<String> clones = new ArrayList<>();
    private final Map<String, Duration> parts = new LinkedHashMap<>();
    private boolean saved;

    ExternalVmm(VmmOptions options) {
        this.options = options;
    }

    /** Prepares a VMM, and closes everything again if that fails. */
    static <V extends ExternalVmm> V prepared(V vmm) throws IOException {
        return Closing.readyOrClosed(vmm, vmm::prepare);
    }

    /** Reads the guest's memory while it is paused. */
    public abstract PageReader reader();

    /** Connects, checks everything that matters, and starts the guard. */
    abstract void prepare() throws IOException;

    /** Returns whether memory can be read while the guest runs. */
    abstract boolean isReadableWhileRunning();

    /** Pauses a running guest. */
    abstract void pauseGuest() throws IOException;

    /** Saves the paused guest's files, and makes the reader ready. */
    abstract void saveGuest() throws IOException;

    /** Lets the guest run. */
    abstract void resumeGuest() throws IOException;

    /** Makes the VMM ready for the pause; {@link #afterResume} undoes it. */
    void beforePause() throws IOException {
    }

    /** Restores the VMM's settings from before the pause. */
    void afterResume() throws IOException {
    }

    /** Looks for the guest's disks among the files to store, and warns of missing ones. */
    final void keepDisks(GuestDisks found) {
        warnings.addAll(found.warnings());
        attachments.putAll(found.attached());
        clones.addAll(found.names());
    }

    /** Runs a part of the pause, and measures it. */
    final void timed(String part, Step step) throws IOException {
        long start = System.nanoTime();
        step.take();
        parts.put(part, Duration.ofNanos(System.nanoTime() - start));
    }

    /** A part of the pause. */
    @FunctionalInterface
    interface Step {
        void take() throws IOException;
    }

    /** Returns what a person should know before relying on a snapshot. */
    public final List<String> warnings() {
        return List.copyOf(warnings);
    }

    /** Returns how long the VMM's own parts of the last pause took. */
    public final Map<String, Duration> pauseParts() {
        return new LinkedHashMap<>(parts);
    }

    /** Returns the attachments that must share blocks with their originals: copying them would lengthen the pause. */
    final List<String> clonedAttachments() {
        return List.copyOf(clones);
    }

    @Override
    public final void pause() throws IOException {
        guard.arm();
        beforePause();
        if (wasRunning) {
            pauseGuest();
        }
    }

    @Override
    public final List<MachineStateSection> saveState() throws IOException {
        saveGuest();
        saved = true;
        return List.of();
    }

    @Override
    public final void resume() throws IOException {
        if (wasRunning && !(saved && options.leavesPaused())) {
            resumeGuest();
        }
        afterResume();
        guard.disarm();
    }

    /** Adds facts that only this VMM knows to a capture, such as the changed pages. Called once for each bake. */
    void prepare(Capture capture, SnapshotStore store) throws IOException {
        attachments.forEach(capture::attach);
    }

    /** Notes a successful bake. */
    void published(SnapshotReference snapshot) throws IOException {
    }

    /**
     * Bakes a snapshot. Steps that may fail are tried before the pause: disks are cloned once, and if RAM can be read
     * while the guest runs, the capture of the pause runs a few times before and is thrown away, until the JVM has
     * compiled it.
     *
     * @param details configures the capture: the base, the description, threads
     */
    public CaptureResult bake(SnapshotStore store, SnapshotId id, UnaryOperator<Capture> details)
            throws IOException {
        tryClones(store, id);
        if (isReadableWhileRunning()) {
            long start = System.nanoTime();
            for (int count = 0; count < MOST_REHEARSALS && System.nanoTime() - start < TO_REHEARSE_NANOS; count++) {
                rehearse(details.apply(Capture.of(store, id, reader())));
            }
        }
        Capture capture = details.apply(Capture.of(store, id, reader()));
        prepare(capture, store);
        CaptureResult result = capture.take(this);
        published(result.reference());
        return result;
    }

    private void rehearse(Capture capture) throws IOException {
        for (Map.Entry<String, Path> attachment : attachments.entrySet()) {
            if (clones.contains(attachment.getKey()) || isSmall(attachment.getValue())) {
                capture.attach(attachment.getKey(), attachment.getValue());
            }
        }
        try (PreparedCapture prepared = capture.prepare();
                CapturedSnapshot thrownAway = prepared.capture(PausableMachine.pausedAlready(List.of()))) {
            thrownAway.memory();
        }
    }

    private static boolean isSmall(Path file) throws IOException {
        return Files.exists(file) && Files.size(file) <= LARGEST_REHEARSED_BYTES;
    }

    private void tryClones(SnapshotStore store, SnapshotId id) throws IOException {
        try (StagedSnapshot staged = DirectoryStore.of(store).stage(id)) {
            for (String name : clones) {
                Path file = attachments.get(name);
                Posix posix = Posix.host();
                int flags = posix.constants().O_RDONLY | posix.constants().O_NONBLOCK;
                try (Descriptor source = Descriptor.open(posix, file, flags, 0)) {
                    if (staged.clone(SnapshotFiles.attachment(name), source)
                            instanceof ReflinkOutcome.Unsupported unsupported) {
                        throw new SnapshotException("the disk " + file + " cannot be cloned into the store ("
                                + unsupported.reason() + "), and copying it would prolong the pause; use a store on"
                                + " the disk's own filesystem, one that can clone (XFS, btrfs)");
                    }
                }
            }
        }
    }

    /** Closes the connection and removes scratch files. A guest that a failed bake left paused is resumed. */
    @Override
    public final void close() throws IOException {
        closing.close();
    }
}
