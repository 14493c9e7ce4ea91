package io.microsnap.cli;

import io.microsnap.vmm.VmmOptions;
import java.nio.file.Path;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;

/** The socket of a VMM, and its kind. */
final class VmmSocket {
    @ArgGroup
    private Sockets sockets;

    @Option(names = "--jail", paramLabel = "DIR", description = "The root directory of a jailed VMM."
            + " Paths sent to the VMM are made relative to it.")
    private Path jail;

    @Option(names = "--pid", paramLabel = "PID", description = "The VMM's process, if its socket does not identify it.")
    private Long pid;

    /** The options, of which one is used. */
    private static final class Sockets {
        @Option(names = "--qmp", paramLabel = "SOCKET", description = "The QMP socket of a QEMU.")
        private Path qmp;

        @Option(names = "--firecracker", paramLabel = "SOCKET", description = "The API socket of a Firecracker.")
        private Path firecracker;

        @Option(names = "--cloud-hypervisor", paramLabel = "SOCKET", description = "The API socket of a Cloud"
                + " Hypervisor.")
        private Path cloudHypervisor;
    }

    /** The kinds of VMM. */
    enum Kind {
        QEMU, FIRECRACKER, CLOUD_HYPERVISOR
    }

    boolean isNamed() {
        return sockets != null;
    }

    boolean isFirecracker() {
        return isNamed() && sockets.firecracker != null;
    }

    Kind kind() {
        if (sockets.qmp != null) {
            return Kind.QEMU;
        }
        return sockets.firecracker != null ? Kind.FIRECRACKER : Kind.CLOUD_HYPERVISOR;
    }

    Path path() {
        return switch (kind()) {
            case QEMU -> sockets.qmp;
            case FIRECRACKER -> sockets.firecracker;
            case CLOUD_HYPERVISOR -> sockets.cloudHypervisor;
        };
    }

    VmmOptions options() {
        VmmOptions options = VmmOptions.of(path());
        if (jail != null) {
            options = options.jail(jail);
        }
        return pid == null ? options : options.process(pid);
    }
}
