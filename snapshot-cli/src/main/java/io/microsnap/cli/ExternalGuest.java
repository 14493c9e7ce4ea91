package io.microsnap.cli;

import io.microsnap.core.SnapshotId;
import io.microsnap.vmm.CloudHypervisorVmm;
import io.microsnap.vmm.ExternalVmm;
import io.microsnap.vmm.FirecrackerVmm;
import io.microsnap.vmm.QemuVmm;
import io.microsnap.vmm.VmmOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** A running guest, named by its VMM's socket. */
final class ExternalGuest {
    @Mixin
    private VmmSocket socket;

    @Option(names = "--scratch", paramLabel = "DIR", description = "Where Firecracker or Cloud Hypervisor may write its"
            + " RAM first; files there are removed afterwards.")
    private Path scratch;

    @Option(names = "--diff", description = "Have Firecracker write only what changed since the parent, which must"
            + " be the last snapshot baked from the very same process.")
    private boolean diff;

    @Option(names = "--leave-paused", description = "Do not let the guest run again after a successful bake.")
    private boolean leavePaused;

    /** Whether there is one. */
    boolean isNamed() {
        return socket.isNamed();
    }

    /** What is wrong with the options together; empty if nothing is. */
    String mistake(SnapshotId parent) {
        if (diff && (!socket.isFirecracker() || parent == null)) {
            return "--diff is for Firecracker, and needs the --parent that it is relative to";
        }
        return "";
    }

    ExternalVmm open(List<Path> attachments, SnapshotId parent) throws IOException {
        VmmOptions options = socket.options();
        for (Path attachment : attachments) {
            options = options.attach(attachment);
        }
        if (scratch != null) {
            options = options.scratch(scratch);
        }
        if (diff) {
            options = options.changesSince(parent);
        }
        if (leavePaused) {
            options = options.leavePaused();
        }
        return switch (socket.kind()) {
            case QEMU -> QemuVmm.open(options);
            case FIRECRACKER -> FirecrackerVmm.open(options);
            case CLOUD_HYPERVISOR -> CloudHypervisorVmm.open(options);
        };
    }
}
