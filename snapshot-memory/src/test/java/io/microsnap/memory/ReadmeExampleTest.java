package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.GuestMemoryReader;
import io.microsnap.core.HugePages;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The README's Java compiles and runs, because it is this. */
final class ReadmeExampleTest {
    @TempDir
    private Path directory;

    @Test
    void aMachineIsBakedAndRestored() throws IOException {
        Path path = directory.resolve("snapshots");
        try (Vm vm = new Vm()) {
            // README begins
            try (DirectoryStore store = DirectoryStore.openOrCreate(Posix.host(), path, StoreOptions.PRIVATE)) {
                // Bake: the first capture is full, each later one only what changed since.
                SnapshotId ready = new SnapshotId("web-ready");
                CaptureResult baked = Capture.of(store, ready, vm.reader())
                        .tracker(vm.tracker())
                        .imageName("debian-13").label("team", "web")
                        .take(vm);              // pauses the machine, copies, resumes it, makes the snapshot durable
                System.out.println(baked.reference() + " cost a pause of " + baked.times().pause());

                // Restore: a millisecond, whatever its size; pages come in as the guest touches them.
                // What was opened last is closed first: the VM, the tracker, the memory.
                try (RestoredSnapshot restored = Restore.of(store, ready).renewing(Vm::newIdentity)
                        .restore(RestoreEngine.LAZY);
                        DirtyTracker tracker = restored.tracker();
                        Vm copy = Vm.start(restored.memory(), restored.machineState())) {
                    copy.run();
                    Capture.of(store, new SnapshotId("web-later"), restored.reader()).tracker(tracker).take(copy);
                }
            }
            // README ends
            try (DirectoryStore store = DirectoryStore.open(Posix.host(), path, StoreOptions.PRIVATE);
                    RestoredSnapshot later = Restore.of(store, new SnapshotId("web-later")).verified()
                            .restore(RestoreEngine.LAZY)) {
                assertThat(later.memory().mapping(0).get(ValueLayout.JAVA_LONG, 0)).isEqualTo(2);
                assertThat(later.memory().mapping(0).get(ValueLayout.JAVA_LONG, 4096)).isEqualTo(4711);
            }
        }
    }

    @Test
    void theReadmeShowsExactlyThis() throws IOException {
        Path root = Path.of("").toAbsolutePath();
        while (!Files.exists(root.resolve("README.md")) || !Files.exists(root.resolve("check"))) {
            root = root.getParent();
        }
        List<String> source = Files.readAllLines(root.resolve(
                "snapshot-memory/src/test/java/io/microsnap/memory/ReadmeExampleTest.java"));
        String example = source.stream()
                .dropWhile(line -> !line.strip().equals("// README begins")).skip(1)
                .takeWhile(line -> !line.strip().equals("// README ends"))
                .map(line -> line.isBlank() ? "" : line.substring(12))
                .collect(Collectors.joining("\n", "```java\n", "\n```"));
        assertThat(Files.readString(root.resolve("README.md"))).contains(example);
    }

    /** Stands for what a VM manager has. */
    private static final class Vm implements PausableMachine, AutoCloseable {
        private final GuestMemory memory;
        private final GuestMemory.Hold hold;
        private final DirtyTracker tracker;

        Vm() throws IOException {
            this(GuestRam.anonymous(Posix.host(), GuestLayout.ofSingleRegion(4096, 64 * 4096), HugePages.NONE));
            memory.mapping(0).set(ValueLayout.JAVA_LONG, 0, 1);
        }

        private Vm(GuestMemory memory) {
            this.memory = memory;
            hold = memory.hold();
            tracker = DirtyTracker.ofMarks(memory.layout());
        }

        static Vm start(GuestMemory memory, List<MachineStateSection> state) {
            assertThat(state).extracting(MachineStateSection::name).containsExactly("clock");
            return new Vm(memory);
        }

        static void newIdentity(RestoredSnapshot restored) {
            restored.memory().mapping(0).set(ValueLayout.JAVA_LONG, 4096, 4711);
            restored.markWritten(4096, Long.BYTES);
        }

        GuestMemoryReader reader() {
            return new GuestMemoryReader(memory);
        }

        DirtyTracker tracker() {
            return tracker;
        }

        void run() {
            memory.mapping(0).set(ValueLayout.JAVA_LONG, 0, 2);
        }

        @Override
        public void pause() {
            // It never runs by itself.
        }

        @Override
        public List<MachineStateSection> saveState() {
            return List.of(new MachineStateSection("clock", ByteBuffer.wrap(new byte[] {1})));
        }

        @Override
        public void resume() {
            // It never runs by itself.
        }

        @Override
        public void close() throws IOException {
            tracker.close();
            hold.close();
            memory.close();
        }
    }
}
