package io.microsnap.cli;

import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.StoreOptions;
import java.io.IOException;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** The store that a command works on. */
final class StoreLocation {
    @Option(names = "--store", paramLabel = "DIR", required = true,
            description = "The store: a directory of snapshots.")
    private Path directory;

    Path directory() {
        return directory;
    }

    /** The store, which must be there. */
    SnapshotStore open(Posix posix) throws IOException {
        return SnapshotStore.open(posix, directory, StoreOptions.PRIVATE);
    }

    /** The store, made if it is not there. */
    SnapshotStore openOrCreate(Posix posix) throws IOException {
        return SnapshotStore.openOrCreate(posix, directory, StoreOptions.PRIVATE);
    }
}
