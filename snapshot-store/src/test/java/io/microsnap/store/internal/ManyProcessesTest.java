package io.microsnap.store.internal;

import static io.microsnap.store.internal.Snapshots.id;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.BusyException;
import io.microsnap.core.IfExists;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.MissingBaseException;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.SnapshotRequiredException;
import io.microsnap.store.StoreOptions;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Many processes on one store: each sees documented errors and whole snapshots, and nothing is left over. */
class ManyProcessesTest {
    private static final int PROCESSES = 8;

    @TempDir
    Path directory;

    @Test
    void eachSeesOnlyDocumentedErrorsAndWholeSnapshots(ChildProcesses children, Seed seed) throws IOException {
        Path path = directory.resolve("store");
        int operations = Effort.choose(40, 100, 2000);
        List<ChildProcess> workers = new ArrayList<>();
        for (int number = 0; number < PROCESSES; number++) {
            workers.add(children.java(Worker.class, path.toString(), Long.toString(seed.value() + number),
                    Integer.toString(operations)));
        }
        for (ChildProcess worker : workers) {
            ChildProcess.Exit exit = worker.awaitExit();
            assertThat(exit.status()).as(exit.errors()).isZero();
            assertThat(exit.output()).contains("done " + operations);
        }
        try (DirectoryStore store = DirectoryStore.open(Posix.host(), path, StoreOptions.PRIVATE)) {
            assertThat(path.resolve(".staging").toFile().list()).isEmpty();
            for (SnapshotEntry entry : store.list()) {
                assertThat(entry).isInstanceOf(SnapshotEntry.Whole.class);
                Snapshots.verify(store, entry.name());
            }
        }
    }

    /** One of the processes. */
    static final class Worker {
        private static final String[] NAMES = {"alpha", "beta", "gamma", "delta"};

        private final DirectoryStore store;
        private final SplittableRandom random;

        private Worker(DirectoryStore store, SplittableRandom random) {
            this.store = store;
            this.random = random;
        }

        public static void main(String[] arguments) throws IOException {
            int operations = Integer.parseInt(arguments[2]);
            try (DirectoryStore store =
                    DirectoryStore.openOrCreate(Posix.host(), Path.of(arguments[0]), StoreOptions.PRIVATE)) {
                Worker worker = new Worker(store, new SplittableRandom(Long.parseLong(arguments[1])));
                for (int operation = 0; operation < operations; operation++) {
                    worker.operate();
                }
            }
            System.out.println("done " + operations);
        }

        private void operate() throws IOException {
            String name = NAMES[random.nextInt(NAMES.length)];
            int generation = random.nextInt(1, 1000);
            try {
                switch (random.nextInt(9)) {
                    case 0 -> Snapshots.publish(store, name, generation);
                    case 1 -> Snapshots.publish(store, name, generation, IfExists.REPLACE);
                    case 2 -> Snapshots.publish(store, name, generation, IfExists.REPLACE_EVEN_IF_HELD);
                    case 3 -> Snapshots.publishDiff(store, "diff-of-" + name, name, generation);
                    case 4 -> store.delete(id(random.nextBoolean() ? name : "diff-of-" + name));
                    case 5 -> store.deleteForcibly(id("diff-of-" + name));
                    case 6 -> {
                        for (SnapshotEntry entry : store.list()) {
                            if (entry instanceof SnapshotEntry.Damaged damaged) {
                                throw new IllegalStateException(damaged.toString());
                            }
                        }
                    }
                    case 7 -> store.addHint(id(name), SnapshotFiles.WORKING_SET, ByteBuffer.allocate(generation));
                    default -> hold(name);
                }
            } catch (FileAlreadyExistsException | NoSuchFileException | BusyException
                    | SnapshotRequiredException | MissingBaseException documented) {
                assertThat(documented).as("none waits long for the store")
                        .hasMessageNotContaining("is being changed by");
                store.gc();
            }
        }

        /** A process that holds a snapshot finds every byte of it, unless another one deletes it by force. */
        private void hold(String name) throws IOException {
            Snapshots.verify(store, random.nextBoolean() ? name : "diff-of-" + name);
        }
    }
}
