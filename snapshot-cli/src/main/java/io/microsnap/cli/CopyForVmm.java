package io.microsnap.cli;

import io.microsnap.core.SnapshotId;
import io.microsnap.store.HeldSnapshot;
import io.microsnap.store.SnapshotStore;
import io.microsnap.vmm.CloudHypervisorVmm;
import io.microsnap.vmm.FirecrackerVmm;
import io.microsnap.vmm.QemuVmm;
import io.microsnap.vmm.RestoredVmm;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;

/** Makes a directory from which a VMM starts a copy of a guest. */
final class CopyForVmm {
    @ArgGroup
    private Directories directories;

    /** The options, of which one is used. */
    private static final class Directories {
        @Option(names = "--qemu", paramLabel = "DIR", description = "The directory to make for a new QEMU: memory,"
                + " device state and disks. Prints the command that starts it; microsnap resume lets it run.")
        private Path qemu;

        @Option(names = "--firecracker", paramLabel = "DIR", description = "The directory to make for a Firecracker:"
                + " memory and vmstate. microsnap resume loads it and lets it run.")
        private Path firecracker;

        @Option(names = "--cloud-hypervisor", paramLabel = "DIR", description = "The directory to make for a Cloud"
                + " Hypervisor, in its own form. microsnap resume loads it and lets it run.")
        private Path cloudHypervisor;
    }

    /** Returns whether one is requested. */
    boolean isWanted() {
        return directories != null;
    }

    int make(Console console, StoreLocation store, SnapshotId id) throws IOException {
        long start = System.nanoTime();
        RestoredVmm restored;
        try (SnapshotStore open = store.open(console); HeldSnapshot held = open.hold(id);
                ProgressLine progress = console.progress("restore")) {
            restored = restore(held, progress);
        }
        Duration elapsed = Duration.ofNanos(System.nanoTime() - start);
        restored.remarks().forEach(remark -> console.remark("microsnap: " + remark));
        console.report(new Document().put("id", id).put("directory", restored.directory())
                .put("size_bytes", restored.lengthBytes()).put("cloned", restored.cloned())
                .put("command", restored.command()).put("remarks", restored.remarks()).put("elapsed_ms", elapsed));
        console.say(restored.directory() + ": " + Sizes.bytes(restored.lengthBytes())
                + (restored.cloned() ? ", cloned" : ", copied") + " in " + Sizes.time(elapsed));
        if (!restored.command().isEmpty()) {
            console.say("start the VMM with");
            console.say(restored.shellCommand());
        }
        return ExitStatus.OK;
    }

    private RestoredVmm restore(HeldSnapshot held, ProgressLine progress) throws IOException {
        if (directories.qemu != null) {
            return QemuVmm.restore(held, directories.qemu, progress);
        }
        return directories.firecracker != null ? FirecrackerVmm.restore(held, directories.firecracker, progress)
                : CloudHypervisorVmm.restore(held, directories.cloudHypervisor, progress);
    }
}
