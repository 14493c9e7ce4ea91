package io.microsnap.vmm;

import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.ReflinkOutcome;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.CapturedSnapshot;
import io.microsnap.memory.PreparedCapture;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * A guest in another process, reached by its VMM's own socket. Opening one is the preparation: it looks at everything
 * that can be looked at while the guest runs, and starts a guard that resumes the guest should this process die while
 * the guest is paused. {@link #bake} does the rest; or a {@link Capture} of the {@link #reader} takes this as its
 * {@link PausableMachine}.
 *
 * <p>However a capture ends, the guest then runs again if it ran before and the options do not say otherwise.
 */
public abstract sealed class ExternalVmm implements PausableMachine, AutoCloseable permits QemuVmm, DumpingVmm {
    /** Files up to this length are copied in a rehearsal, too. */
    private static final long LARGEST_REHEARSED_BYTES = 1 << 20;

    ExternalVmm() {
    }

    /** Reads the guest's memory while it is paused. */
    public abstract PageReader reader();

    /** What a person should know before relying on a snapshot. */
    public abstract List<String> warnings();

    /** How long the VMM's own parts of the last pause took. */
    public abstract Map<String, Duration> pauseParts();

    /** The files that belong to a snapshot, by their attachment names; all of them exist once the state is saved. */
    abstract Map<String, Path> attachments();

    /** The attachments that must share blocks with their originals: copying them would lengthen the pause. */
    abstract List<String> clonedAttachments();

    /** Whether reading memory may be tried while the guest runs. */
    abstract boolean isReadableWhileRunning();

    /** Adds to a capture what only this VMM knows, such as what changed; called once for each. */
    void prepare(Capture capture, SnapshotStore store) throws IOException {
        attachments().forEach(capture::attach);
    }

    /** Hears of a bake that succeeded. */
    void published(SnapshotReference snapshot) throws IOException {
    }

    /**
     * Bakes a snapshot. Whatever can fail beforehand is tried before the pause: disks are cloned once, and where RAM
     * can be read while the guest runs, the very capture that will run in the pause runs once and is thrown away.
     *
     * @param details says how to capture: the base, the description, threads
     */
    public CaptureResult bake(SnapshotStore store, SnapshotId id, UnaryOperator<Capture> details)
            throws IOException {
        tryClones(store, id);
        if (isReadableWhileRunning()) {
            rehearse(details.apply(Capture.of(store, id, reader())));
        }
        Capture capture = details.apply(Capture.of(store, id, reader()));
        prepare(capture, store);
        CaptureResult result = capture.take(this);
        published(result.reference());
        return result;
    }

    private void rehearse(Capture capture) throws IOException {
        for (Map.Entry<String, Path> attachment : attachments().entrySet()) {
            if (clonedAttachments().contains(attachment.getKey()) || isSmall(attachment.getValue())) {
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
            for (String name : clonedAttachments()) {
                Path file = attachments().get(name);
                Posix posix = Posix.host();
                int flags = posix.constants().O_RDONLY | posix.constants().O_NONBLOCK;
                try (Descriptor source = Descriptor.open(posix, file, flags, 0)) {
                    if (staged.clone(SnapshotFiles.attachment(name), source)
                            instanceof ReflinkOutcome.Unsupported unsupported) {
                        throw new SnapshotException("the disk " + file + " cannot be cloned into the store ("
                                + unsupported.reason() + "), and copying it would keep the guest waiting; use a store"
                                + " on the disk's own filesystem, one that has clones (XFS, btrfs)");
                    }
                }
            }
        }
    }

    /** Lets go of the VMM; the guest stays as it is. */
    @Override
    public abstract void close() throws IOException;
}
