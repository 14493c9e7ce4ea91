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

    @Option(names = "--diff", description = "Make Firecracker write only the changes since the base, which must be"
            + " the last snapshot baked from the very same process.")
    private boolean diff;

    @Option(names = "--leave-paused", description = "Do not let the guest run again after a successful bake.")
    private boolean leavePaused;

    /** Returns whether a guest is named. */
    boolean isNamed() {
        return socket.isNamed();
    }

    /** Returns the mistake in the combination of options; empty if there is none. */
    String mistake(SnapshotId base) {
        if (diff && (!socket.isFirecracker() || base == null)) {
            return "--diff is for Firecracker, and needs the --base that it is relative to";
        }
        return "";
    }

    ExternalVmm open(List<Path> attachments, SnapshotId base) throws IOException {
        VmmOptions options = socket.options();
        for (Path attachment : attachments) {
            options = options.attach(attachment);
        }
        if (scratch != null) {
            options = options.scratch(scratch);
        }
        if (diff) {
            options = options.changesSince(base);
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
