package io.microsnap.vmm;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PageReader;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.internal.reader.FileMemoryReader;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.vmm.internal.guard.ResumeGuard;
import io.microsnap.vmm.internal.host.GuestDisks;
import io.microsnap.vmm.internal.host.Scratch;
import io.microsnap.vmm.internal.host.VmmProcess;
import io.microsnap.vmm.internal.qemu.QemuCommandLine;
import io.microsnap.vmm.internal.qemu.QemuCopies;
import io.microsnap.vmm.internal.qemu.QemuDescription;
import io.microsnap.vmm.internal.qemu.QemuMigration;
import io.microsnap.vmm.internal.qemu.QemuRam;
import io.microsnap.vmm.internal.wire.Json;
import io.microsnap.vmm.internal.wire.QmpConnection;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A guest of QEMU, reached over QMP, whose RAM is a file that QEMU maps shared. Its device state is stored as the
 * attachment {@code qemu.state}, and the facts needed to start a copy as {@code qemu.json}.
 */
public final class QemuVmm extends ExternalVmm {
    private static final Duration TO_START = Duration.ofSeconds(5);
    private static final Set<String> BAKEABLE = Set.of("running", "paused", "prelaunch", "postmigrate", "suspended");

    private QmpConnection qmp;
    private QemuMigration migration;
    private PageReader reader;

    private QemuVmm(VmmOptions options) {
        super(options);
    }

    /** Connects. Throws at once if the guest cannot be baked; the message says what to do. */
    public static QemuVmm open(VmmOptions options) throws IOException {
        return prepared(new QemuVmm(options));
    }

    /**
     * Writes the files for a copy of the guest to a directory that must not exist or must be empty: memory, cloned
     * where the filesystem can, device state, and copies of its disks.
     */
    public static RestoredVmm restore(HeldSnapshot held, Path directory, Progress progress) throws IOException {
        QemuCopies.Written written = QemuCopies.write((StoredSnapshot) held, Posix.host(), directory, progress);
        List<String> remarks = new ArrayList<>();
        if (String.join(" ", written.command()).contains(QemuCommandLine.REDACTED)) {
            remarks.add("secrets were not stored: replace each " + QemuCommandLine.REDACTED + " by its secret");
        }
        return new RestoredVmm(directory, held.layout().lengthBytes(), written.cloned(), written.command(), remarks);
    }

    /** Loads such a directory into a QEMU that was started with {@code -incoming defer}, and lets the guest run. */
    public static void resume(VmmOptions options, Path directory) throws IOException {
        VmmProcess process = VmmProcess.await(options.posix(), options.socket(), options.process(), TO_START);
        try (QmpConnection qmp = QmpConnection.open(options.socket(), options.patience())) {
            QemuCopies.load(options.posix(), qmp, process, directory, options.patience());
        }
    }

    @Override
    void prepare() throws IOException {
        Posix posix = options.posix();
        VmmProcess process = VmmProcess.behind(posix, options.socket(), options.process());
        qmp = closing.add(QmpConnection.open(options.socket(), options.patience()));
        wasRunning = status().equals("running");
        migration = QemuMigration.of(qmp, options.patience());
        QemuRam ram = QemuRam.of(qmp, options.patience());
        GuestLayout layout = ram.layout(posix.getpagesize());
        reader = FileMemoryReader.of(closing.add(openRam(posix, process, ram)), layout);
        GuestDisks disks = GuestDisks.of(disks(), process, options.attachments());
        keepDisks(disks);
        scratch = closing.add(Scratch.forSockets(process));
        List<String> words = process.commandLine();
        List<String> kept = QemuCommandLine.withoutSecrets(words);
        if (!kept.equals(words)) {
            warnings.add("secrets in QEMU's command line are not stored: replace each REDACTED by its secret, or use"
                    + " files for them (-object secret,file=...)");
        }
        QemuDescription description = new QemuDescription(qmp.version().toString(), ram.machine(), ram.id(),
                ram.path(), ram.sizeBytes(), socketIn(words, process), kept, disks.paths());
        attachments.put(QemuDescription.FILE, scratch.write(QemuDescription.FILE, description.toJson()));
        attachments.put(QemuDescription.STATE, scratch.file(QemuDescription.STATE));
        migration.rehearse(scratch.file("rehearsal"), attachments.get(QemuDescription.STATE));
        closing.add(migration.listen(scratch.file("state")));
        guard = closing.add(ResumeGuard.overQmp(options.socket(), scratch.directory(), guardCommands()));
    }

    /** Returns the socket's path as in QEMU's command line, perhaps relative to QEMU's working directory. */
    private String socketIn(List<String> words, VmmProcess process) throws IOException {
        for (String path : QemuCommandLine.sockets(words)) {
            Path here = process.seenFromHere(path);
            if (Files.exists(here) && Files.isSameFile(here, options.socket())) {
                return path;
            }
        }
        return options.socket().toString();
    }

    private String status() throws IOException {
        String status = qmp.execute("query-status", Map.of(), options.patience()).get("status").text();
        if (!BAKEABLE.contains(status)) {
            throw new SnapshotException("the guest cannot be baked: QEMU says that it is '" + status + "'");
        }
        return status;
    }

    private List<GuestDisks.Disk> disks() throws IOException {
        List<GuestDisks.Disk> disks = new ArrayList<>();
        for (Json block : qmp.execute("query-block", Map.of(), options.patience()).list()) {
            Optional<Json> inserted = block.find("inserted");
            if (inserted.isPresent()) {
                disks.add(new GuestDisks.Disk(inserted.get().get("file").text(), inserted.get().get("ro").truth()));
            }
        }
        return disks;
    }

    private Descriptor openRam(Posix posix, VmmProcess process, QemuRam ram) throws IOException {
        Optional<Path> path = Optional.empty();
        if (ram.path().isPresent()) {
            path = Optional.of(process.seenFromHere(ram.path().get()));
        } else if (qmp.version().major() > QemuMigration.LAST_TO_SKIP_MEMFDS) {
            throw new SnapshotException("RAM is a memfd, and QEMU " + qmp.version() + " would send all of it with its"
                    + " device state; use a file: " + QemuRam.REMEDY);
        }
        return process.sharedRam(posix, path, ram.sizeBytes(), "the RAM '" + ram.id() + "'");
    }

    private List<String> guardCommands() {
        List<String> commands = new ArrayList<>();
        if (wasRunning && !options.leavesPaused()) {
            commands.add("{\"execute\": \"cont\", \"id\": \"guard\"}");
        }
        commands.add(Json.write(Map.of("execute", "migrate-set-capabilities", "arguments", migration.asItWas()), false)
                .replaceFirst("\\}$", ", \"id\": \"guard\"}"));
        return commands;
    }

    @Override
    public PageReader reader() {
        return reader;
    }

    @Override
    boolean isReadableWhileRunning() {
        return true;
    }

    @Override
    void beforePause() throws IOException {
        migration.prepare();
    }

    @Override
    void pauseGuest() throws IOException {
        timed("stop", () -> qmp.execute("stop", Map.of(), options.patience()));
    }

    @Override
    void saveGuest() throws IOException {
        timed("device_state", () -> migration.saveTo(attachments.get(QemuDescription.STATE)));
    }

    @Override
    void resumeGuest() throws IOException {
        timed("cont", () -> qmp.execute("cont", Map.of(), options.patience()));
    }

    @Override
    void afterResume() throws IOException {
        migration.restoreCapabilities();
    }
}
