package io.microsnap.vmm;

import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Runs a command on a snapshot and ends with its status. */
final class RunInPlace {
    private RunInPlace() {
    }

    public static void main(String[] arguments) throws IOException {
        Path directory = Path.of(arguments[0]);
        List<String> all = List.of(arguments);
        int status;
        try (DirectoryStore store = DirectoryStore.open(Posix.host(), directory, StoreOptions.PRIVATE)) {
            status = InPlace.run(store, directory, new SnapshotId(arguments[1]), all.subList(2, all.size()));
        }
        System.exit(status);
    }
}
