package io.microsnap.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.BusyException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.internal.reader.FileMemoryReader;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InPlaceTest {
    private static final SnapshotId ID = new SnapshotId("Guest");

    @TempDir
    private Path directory;
    private DirectoryStore store;
    private Path place;

    @BeforeEach
    void bake() throws IOException {
        place = directory.resolve("store");
        store = DirectoryStore.openOrCreate(Posix.host(), place, StoreOptions.PRIVATE);
        Path ram = Files.write(directory.resolve("ram"), ram(5000));
        Path note = Files.writeString(directory.resolve("note"), "of the same moment");
        take(ram, ID, capture -> capture.attach("note", note));
        Files.write(ram, ram(9000));
        take(ram, new SnapshotId("diff"), capture -> capture.base(ID).kind(CaptureKind.DIFF));
    }

    private static byte[] ram(int seven) {
        byte[] bytes = new byte[1 << 20];
        bytes[seven] = 7;
        return bytes;
    }

    private void take(Path ram, SnapshotId id, UnaryOperator<Capture> details) throws IOException {
        try (Descriptor file = Descriptor.open(Posix.host(), ram, Posix.host().constants().O_RDONLY, 0)) {
            details.apply(Capture.of(store, id, FileMemoryReader.of(file, GuestLayout.ofSingleRegion(4096, 1 << 20))))
                    .take(PausableMachine.pausedAlready(List.of()));
        }
    }

    @AfterEach
    void close() throws IOException {
        store.close();
    }

    @Test
    void theCommandGetsThePathsAndItsStatusIsTheEnd(ChildProcesses processes) {
        ChildProcess run = processes.java(RunInPlace.class, place.toString(), "Guest", "sh", "-c",
                "cat {attachments}/note; od -An -tu1 -j5000 -N1 \"$0\"; exit 42", "{memory}");
        ChildProcess.Exit exit = run.awaitExit();
        assertThat(exit.status()).isEqualTo(42);
        assertThat(exit.output()).contains("of the same moment").contains(" 7\n");
    }

    @Test
    void theSnapshotIsProtectedForAsLongAsTheCommandLivesEvenIfMicrosnapIsKilled(ChildProcesses processes)
            throws Exception {
        Path end = directory.resolve("end");
        assertThat(processes.command("mkfifo", end.toString()).awaitExit().status()).isZero();
        ChildProcess run = processes.java(RunInPlace.class, place.toString(), "Guest", "sh", "-c",
                "echo $$; exec >/dev/null 2>&1; read x <" + end);
        ProcessHandle command = ProcessHandle.of(Long.parseLong(run.awaitLine("").strip())).orElseThrow();
        store.delete(new SnapshotId("diff"));
        assertThatThrownBy(() -> store.delete(ID)).isInstanceOf(BusyException.class)
                .hasMessageContaining("is in use");
        run.kill();
        assertThat(run.awaitExit().wasKilled()).isTrue();
        assertThat(command.isAlive()).isTrue();
        assertThatThrownBy(() -> store.delete(ID)).isInstanceOf(BusyException.class)
                .hasMessageContaining("is in use");
        Files.writeString(end, "end\n");
        command.onExit().join();
        store.delete(ID);
    }

    @Test
    void aDiffIsRefusedForItsMemoryIsNotInOneFile() {
        assertThatThrownBy(() -> InPlace.run(store, place, new SnapshotId("diff"), List.of("true")))
                .hasMessageContaining("is a diff");
    }
}
