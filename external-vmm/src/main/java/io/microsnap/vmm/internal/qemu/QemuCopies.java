package io.microsnap.vmm.internal.qemu;

import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.Export;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.vmm.internal.host.NewDirectory;
import io.microsnap.vmm.internal.host.Scratch;
import io.microsnap.vmm.internal.host.SmallFiles;
import io.microsnap.vmm.internal.host.VmmProcess;
import io.microsnap.vmm.internal.wire.Json;
import io.microsnap.vmm.internal.wire.QmpConnection;
import io.microsnap.vmm.internal.wire.UnixConnection;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** Writes the files for a copy of a QEMU guest, and loads them into a waiting QEMU. */
public final class QemuCopies {
    /** The file that is a copy's RAM. */
    public static final String MEMORY = "memory.img";

    private static final String SOCKET = "qmp";
    private static final int PIECE_BYTES = 1 << 20;
    private static final long POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(1);

    private QemuCopies() {
    }

    /**
     * The written directory.
     *
     * @param cloned whether memory shares blocks with the store
     * @param command the words that start the waiting QEMU
     */
    public record Written(boolean cloned, List<String> command) {
    }

    /** Writes memory, device state and disks to a directory that must not exist or must be empty. */
    public static Written write(StoredSnapshot held, Posix posix, Path target, Progress progress) throws IOException {
        QemuDescription description = description(held);
        try (NewDirectory directory = NewDirectory.create(posix, target)) {
            boolean cloned = Export.of(held).threads(Runtime.getRuntime().availableProcessors()).progress(progress)
                    .toFile(directory.file(MEMORY), IfExists.REFUSE);
            directory.copyAttachment(held, QemuDescription.STATE, QemuDescription.STATE);
            Map<String, String> files = new LinkedHashMap<>();
            for (Map.Entry<String, String> disk : description.disks().entrySet()) {
                String name = SnapshotFiles.attachment(disk.getValue()).substring(
                        SnapshotFiles.ATTACHMENTS.length() + 1);
                directory.copyAttachment(held, name, name);
                files.put(disk.getKey(), directory.finalPath(name).toString());
            }
            List<String> command = QemuCommandLine.forCopy(description, files,
                    directory.finalPath(MEMORY).toString(), directory.finalPath(SOCKET).toString());
            directory.write(QemuDescription.FILE, description.toJson());
            directory.commit();
            return new Written(cloned, command);
        }
    }

    private static QemuDescription description(StoredSnapshot held) throws IOException {
        if (!held.manifest().attachments().contains(QemuDescription.FILE)) {
            throw new SnapshotException(held.id() + " was not baked from QEMU over QMP (it has no attachment "
                    + QemuDescription.FILE + "); restore its memory with --to");
        }
        Descriptor file = held.open(SnapshotFiles.attachment(QemuDescription.FILE));
        return QemuDescription.parse(file.name(), SmallFiles.read(file, QemuDescription.LARGEST_BYTES));
    }

    /** Loads the QEMU that waits at this socket with the device state of a directory, and lets it run. */
    public static void load(Posix posix, QmpConnection qmp, VmmProcess process, Path directory, Duration patience)
            throws IOException {
        QemuDescription description = QemuDescription.parse(directory.resolve(QemuDescription.FILE).toString(),
                SmallFiles.read(posix, directory.resolve(QemuDescription.FILE), QemuDescription.LARGEST_BYTES));
        requireWaiting(qmp, patience);
        requireAlike(description, qmp, patience);
        qmp.execute("migrate-set-capabilities", Map.of("capabilities", List.of(
                Map.of("capability", "x-ignore-shared", "state", true))), patience);
        try (Descriptor state = SmallFiles.open(posix, directory.resolve(QemuDescription.STATE));
                Scratch scratch = Scratch.forSockets(process)) {
            Path socket = scratch.file("incoming");
            qmp.execute("migrate-incoming", Map.of("uri", "unix:" + socket), patience);
            send(state, socket, patience);
            awaitLoaded(qmp, patience);
        }
        qmp.execute("migrate-set-capabilities", Map.of("capabilities", List.of(
                Map.of("capability", "x-ignore-shared", "state", false))), patience);
        qmp.execute("cont", Map.of(), patience);
    }

    private static void requireWaiting(QmpConnection qmp, Duration patience) throws IOException {
        String status = status(qmp, patience);
        if (!status.equals("inmigrate")) {
            throw new SnapshotException(qmp.socket() + ": this QEMU does not wait for a guest (it is '" + status
                    + "'); start it with -incoming defer");
        }
    }

    private static void requireAlike(QemuDescription description, QmpConnection qmp, Duration patience)
            throws IOException {
        QemuTarget target = QemuTarget.of(qmp, patience);
        if (!target.machine().equals(description.machine())) {
            throw new SnapshotException("the snapshot is of a machine " + description.machine() + ", and this QEMU has "
                    + target.machine() + "; start it with -machine " + description.machine());
        }
        if (!target.ramId().equals(description.ramId()) || target.ramBytes() != description.ramBytes()) {
            throw new SnapshotException("the snapshot's RAM is '" + description.ramId() + "' of "
                    + description.ramBytes() + " bytes, and this QEMU's is '" + target.ramId() + "' of "
                    + target.ramBytes() + "; start it with -object memory-backend-file,id=" + description.ramId()
                    + ",size=" + description.ramBytes() + ",mem-path=FILE,share=on and -machine "
                    + description.machine() + ",memory-backend=" + description.ramId());
        }
    }

    private static void send(Descriptor state, Path socket, Duration patience) throws IOException {
        long deadline = UnixConnection.deadline(patience);
        try (UnixConnection connection = UnixConnection.open(socket, patience); Arena arena = Arena.ofConfined()) {
            MemorySegment piece = arena.allocate(PIECE_BYTES);
            long at = 0;
            for (long count = state.read(piece, at); count > 0; count = state.read(piece, at)) {
                connection.write(piece.asSlice(0, count).asByteBuffer(), deadline);
                at += count;
            }
        }
    }

    private static void awaitLoaded(QmpConnection qmp, Duration patience) throws IOException {
        long deadline = System.nanoTime() + patience.toNanos();
        while (status(qmp, patience).equals("inmigrate")) {
            if (System.nanoTime() - deadline > 0) {
                throw new SnapshotException(qmp.socket() + ": QEMU has not loaded the device state after "
                        + patience.toMillis() + " ms");
            }
            LockSupport.parkNanos(POLL_NANOS);
        }
    }

    private static String status(QmpConnection qmp, Duration patience) throws IOException {
        Json status = qmp.execute("query-status", Map.of(), patience);
        return status.get("status").text();
    }

    /** Returns whether a directory holds what {@link #load} needs. */
    public static boolean isOne(Path directory) {
        return Files.exists(directory.resolve(QemuDescription.FILE));
    }
}
