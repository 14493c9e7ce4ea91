package io.microsnap.vmm;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Runs a command that uses a snapshot in its place in the store, and protects the snapshot until the command ends. */
public final class InPlace {
    /** Stands for the path of the guest's memory in the words of a command. */
    public static final String MEMORY = "{memory}";
    /** Stands for the path of the directory of attachments. */
    public static final String ATTACHMENTS = "{attachments}";

    private InPlace() {
    }

    /**
     * Runs a command and returns its status. The command's own process holds the snapshot's lock, so the snapshot stays
     * protected even if this process dies first.
     *
     * @param directory the store's directory
     */
    public static int run(SnapshotStore store, Path directory, SnapshotId id, List<String> command)
            throws IOException {
        try (StoredSnapshot held = DirectoryStore.of(store).hold(id)) {
            if (held.base().isPresent()) {
                throw new SnapshotException(id + " is a diff, whose memory is not in one file; make a complete copy"
                        + " with microsnap restore");
            }
            Path snapshot = directory.toAbsolutePath().resolve(id.key());
            List<String> words = new ArrayList<>(List.of("flock", "--shared", "--no-fork", snapshot.toString()));
            for (String word : command) {
                words.add(word.replace(MEMORY, snapshot.resolve(SnapshotFiles.MEMORY).toString())
                        .replace(ATTACHMENTS, snapshot.resolve(SnapshotFiles.ATTACHMENTS).toString()));
            }
            return await(new ProcessBuilder(words).inheritIO());
        }
    }

    private static int await(ProcessBuilder builder) throws IOException {
        Process process;
        try {
            process = builder.start();
        } catch (IOException missing) {
            throw new SnapshotException("cannot run flock, which holds the snapshot for the command; install"
                    + " util-linux", missing);
        }
        Thread ending = new Thread(process::destroy, "end of the command");
        Runtime.getRuntime().addShutdownHook(ending);
        try {
            return process.waitFor();
        } catch (InterruptedException interrupted) {
            process.destroy();
            Thread.currentThread().interrupt();
            throw new SnapshotException("interrupted while the command ran", interrupted);
        } finally {
            try {
                Runtime.getRuntime().removeShutdownHook(ending);
            } catch (IllegalStateException endingAlready) {
                // The JVM is shutting down, and the hook has run.
                process.destroy();
            }
        }
    }
}
