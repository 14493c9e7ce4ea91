package io.microsnap.cli;

import io.microsnap.core.SnapshotId;
import picocli.CommandLine.Option;

/** The snapshot that a command is about. */
final class SnapshotArgument {
    @Option(names = "--id", paramLabel = "ID", required = true, description = "The snapshot's name.")
    private SnapshotId id;

    SnapshotId id() {
        return id;
    }
}
