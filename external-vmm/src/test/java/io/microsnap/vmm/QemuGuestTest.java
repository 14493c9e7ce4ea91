package io.microsnap.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.core.Progress;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.Verification;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.vmm.internal.wire.QmpConnection;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Real guests of a real QEMU are baked while they run, and go on elsewhere from that moment. */
class QemuGuestTest {
    private static final long END_OF_LOW_RAM = 0xA0000;
    private static final long START_OF_HIGH_RAM = 0x100000;
    private static final long RAM_BYTES = 256L << 20;

    private static DirectoryStore store(Path directory) throws IOException {
        return DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
    }

    private static CaptureResult bake(DirectoryStore store, VmmOptions options, String id, String parent)
            throws IOException {
        try (QemuVmm vmm = QemuVmm.open(options.patience(LinuxGuest.PATIENCE))) {
            CaptureResult result = vmm.bake(store, new SnapshotId(id), capture -> parent.isEmpty()
                    ? capture.threads(2) : capture.threads(2).base(new SnapshotId(parent)));
            System.out.println(id + " " + result.times() + " " + vmm.pauseParts() + " " + result.memory());
            return result;
        }
    }

    @RealFileSystems(FileSystemKind.XFS)
    void aRunningGuestIsBakedInFullAndOntoItsParentAndGoesOnFromThatMomentElsewhere(Path directory,
            FileSystemKind kind, ChildProcesses processes) throws IOException {
        LinuxGuest guest = LinuxGuest.start(processes, directory, "pc", "256M");
        VmmOptions options = VmmOptions.of(guest.socket());
        guest.awaitTick();
        try (DirectoryStore store = store(directory)) {
            assertThat(bake(store, options, "one", "").kind()).isEqualTo(CaptureKind.FULL);
            assertThat(guest.status()).isEqualTo("running");
            guest.awaitTick();
            CaptureResult onto = bake(store, options.leavePaused(), "two", "one");
            assertThat(onto.kind()).isEqualTo(CaptureKind.ONTO_BASE);
            assertThat(onto.memory().bytesWritten()).isLessThan(RAM_BYTES / 4);
            assertThat(guest.status()).as("left paused, as asked").isEqualTo("postmigrate");
            assertThat(capabilitySet(guest)).as("the capability is as it was").isFalse();
            int lastTick = guest.lastTick();
            Path low = directory.resolve("low");
            Path high = directory.resolve("high");
            guest.pmemsave(0, END_OF_LOW_RAM, low);
            guest.pmemsave(START_OF_HIGH_RAM, RAM_BYTES - START_OF_HIGH_RAM, high);
            guest.kill();

            RestoredVmm restored = restore(store, "two", directory.resolve("copy"));
            assertThat(restored.cloned()).isTrue();
            Path memory = restored.directory().resolve("memory.img");
            assertThat(isAt(memory, 0, low)).as("what QEMU itself saw below 640 KiB").isTrue();
            assertThat(isAt(memory, START_OF_HIGH_RAM, high)).as("what QEMU itself saw from 1 MiB on").isTrue();
            LinuxGuest copy = LinuxGuest.start(processes, restored.directory(), restored.command());
            QemuVmm.resume(VmmOptions.of(copy.socket()), restored.directory());
            assertThat(copy.awaitTick()).as("it goes on from the moment of the bake")
                    .isBetween(lastTick + 1, lastTick + 2);
            assertThat(copy.status()).isEqualTo("running");
            try (StoredSnapshot held = store.hold(new SnapshotId("two"))) {
                assertThat(Verification.of(held, 2, Progress.NONE).isWhole()).isTrue();
            }
        }
    }

    @Tag("long")
    @RealFileSystems(FileSystemKind.XFS)
    void fiveBakesOnEachOtherWithADiskAndTwoCopiesAtOnce(Path directory, FileSystemKind kind,
            ChildProcesses processes) throws IOException {
        Path disk = directory.resolve("disk.img");
        byte[] content = new byte[1 << 20];
        Arrays.fill(content, 4096, 8192, (byte) 42);
        Files.write(disk, content);
        LinuxGuest guest = LinuxGuest.start(processes, directory, "q35", "256M", "-drive",
                "file=" + disk + ",format=raw,if=virtio,readonly=on");
        VmmOptions options = VmmOptions.of(guest.socket()).attach(disk);
        try (DirectoryStore store = store(directory)) {
            int[] ticks = new int[6];
            for (int bake = 0; bake < ticks.length; bake++) {
                guest.awaitTick();
                bake(store, options.leavePaused(), "bake-" + bake, bake == 0 ? "" : "bake-" + (bake - 1));
                ticks[bake] = guest.lastTick();
                try (QmpConnection qmp = guest.connect()) {
                    qmp.execute("cont", Map.of(), LinuxGuest.PATIENCE);
                }
            }
            guest.kill();
            for (int from : new int[] {2, 5}) {
                LinuxGuest[] copies = new LinuxGuest[2];
                for (int copy = 0; copy < copies.length; copy++) {
                    RestoredVmm restored = restore(store, "bake-" + from, directory.resolve("copy-" + from + copy));
                    assertThat(Files.mismatch(disk, restored.directory().resolve("disk.img")))
                            .as("each copy has a disk of its own").isEqualTo(-1);
                    copies[copy] = LinuxGuest.start(processes, restored.directory(), restored.command());
                    QemuVmm.resume(VmmOptions.of(copies[copy].socket()), restored.directory());
                }
                for (LinuxGuest copy : copies) {
                    assertThat(copy.awaitTick()).isBetween(ticks[from] + 1, ticks[from] + 2);
                    assertThat(copy.status()).isEqualTo("running");
                    copy.kill();
                }
            }
            try (StoredSnapshot held = store.hold(new SnapshotId("bake-5"))) {
                assertThat(Verification.of(held, 2, Progress.NONE).isWhole()).isTrue();
            }
        }
    }

    @Tag("long")
    @RealFileSystems(FileSystemKind.XFS)
    void ramAsAMemfdIsBakedWhereQemuSkipsIt(Path directory, FileSystemKind kind, ChildProcesses processes)
            throws IOException {
        List<String> words = new ArrayList<>(LinuxGuest.words(directory, "pc", "256M", directory.resolve("ram"), ""));
        words.replaceAll(word -> word.startsWith("memory-backend-file")
                ? "memory-backend-memfd,id=ram,size=256M,share=on" : word);
        LinuxGuest guest = LinuxGuest.start(processes, directory, words);
        guest.awaitTick();
        VmmOptions options = VmmOptions.of(guest.socket());
        boolean skipped;
        try (QmpConnection qmp = guest.connect()) {
            skipped = qmp.version().major() <= 7;
        }
        try (DirectoryStore store = store(directory)) {
            if (!skipped) {
                assertThatThrownBy(() -> bake(store, options, "one", "")).hasMessageContaining("RAM is a memfd");
                return;
            }
            bake(store, options.leavePaused(), "one", "");
            int last = guest.lastTick();
            guest.kill();
            RestoredVmm restored = restore(store, "one", directory.resolve("copy"));
            assertThat(String.join(" ", restored.command())).contains("memory-backend-file");
            LinuxGuest copy = LinuxGuest.start(processes, restored.directory(), restored.command());
            QemuVmm.resume(VmmOptions.of(copy.socket()), restored.directory());
            assertThat(copy.awaitTick()).isBetween(last + 1, last + 2);
        }
    }

    @Tag("long")
    @Test
    void aGuestOfAnotherUserIsBakedByRoot(ChildProcesses processes, @TempDir Path directory) throws IOException {
        assumeTrue((int) Files.getAttribute(directory, "unix:uid") == 0, "only root can start a guest for another user;"
                + " run the tests as root");
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxrwxrwx"));
        List<String> words = new ArrayList<>(List.of("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"));
        words.addAll(LinuxGuest.words(directory, "pc", "256M", directory.resolve("ram"), "share=on"));
        LinuxGuest guest = LinuxGuest.start(processes, directory, words);
        guest.awaitTick();
        try (DirectoryStore store = store(directory)) {
            bake(store, VmmOptions.of(guest.socket()), "one", "");
            assertThat(guest.status()).isEqualTo("running");
            bake(store, VmmOptions.of(guest.socket()), "two", "one");
            assertRunsAsBefore(guest, guest.lastTick());
        }
    }

    @Tag("long")
    @ParameterizedTest
    @CsvSource({"pc, 3221225472", "q35, 2147483648"})
    void ramAbove4GiBIsWhereTheGuestHasIt(String machine, long lowBytes, @TempDir Path directory,
            ChildProcesses processes) throws IOException {
        LinuxGuest guest = LinuxGuest.start(processes, directory, machine, "5G");
        guest.awaitTick();
        long highAddress = 4L << 30;
        long highBytes = (5L << 30) - lowBytes;
        try (DirectoryStore store = store(directory)) {
            CaptureResult result = bake(store, VmmOptions.of(guest.socket()).leavePaused(), "one", "");
            assertThat(result.manifest().layout().regions()).containsExactly(new Region(0, lowBytes),
                    new Region(highAddress, highBytes));
            Path image = restore(store, "one", directory.resolve("copy")).directory().resolve("memory.img");
            Path seen = directory.resolve("seen");
            // The kernel fills memory from the top; what is not populated is zero on both sides.
            for (long at = highBytes - (64 << 20); at > highBytes - (256 << 20); at -= 64 << 20) {
                guest.pmemsave(highAddress + at, 64 << 20, seen);
                assertThat(isAt(image, lowBytes + at, seen)).as("at " + at + " above 4 GiB").isTrue();
            }
            guest.pmemsave(lowBytes - (64 << 20), 64 << 20, seen);
            assertThat(isAt(image, lowBytes - (64 << 20), seen)).isTrue();
        }
    }

    @Tag("long")
    @RealFileSystems(FileSystemKind.XFS)
    void copiesRunInPlaceAndTheImageStaysAsItWas(Path directory, FileSystemKind kind, ChildProcesses processes)
            throws IOException {
        LinuxGuest guest = LinuxGuest.start(processes, directory, "pc", "256M");
        guest.awaitTick();
        try (DirectoryStore store = store(directory)) {
            bake(store, VmmOptions.of(guest.socket()).leavePaused(), "one", "");
            int last = guest.lastTick();
            guest.kill();
            Path snapshot = directory.resolve("store/one");
            Path place = Files.createDirectory(directory.resolve("in-place"));
            for (int copy = 0; copy < 2; copy++) {
                Path own = Files.createDirectory(place.resolve("copy-" + copy));
                LinuxGuest started = LinuxGuest.start(processes, own, LinuxGuest.words(own, "pc", "256M",
                        snapshot.resolve("memory.img"), "share=off", "-incoming", "defer"));
                QemuVmm.resume(VmmOptions.of(started.socket()), snapshot.resolve("attachments"));
                assertThat(started.awaitTick()).isBetween(last + 1, last + 2);
                assertThatThrownBy(() -> QemuVmm.open(VmmOptions.of(started.socket())))
                        .as("its RAM is private now").hasMessageContaining("share=on");
            }
            try (StoredSnapshot held = store.hold(new SnapshotId("one"))) {
                assertThat(Verification.of(held, 2, Progress.NONE).isWhole()).isTrue();
            }
        }
    }

    @Test
    void howeverABakeEndsWhileTheGuestIsPausedTheGuestRunsAgain(ChildProcesses processes, @TempDir Path directory)
            throws IOException {
        LinuxGuest guest = LinuxGuest.start(processes, directory, "pc", "256M");
        guest.awaitTick();
        List<Long> millis = new ArrayList<>();
        for (int kill = 0; kill < Effort.choose(3, 3, 20); kill++) {
            ChildProcess bake = bakeInChild(processes, guest, directory, KilledBake.POINTS.get(kill % 3));
            bake.awaitLine("paused");
            int before = guest.lastTick();
            long start = System.nanoTime();
            assertThat(bake.kill().wasKilled()).isTrue();
            assertThat(guest.status()).isEqualTo("running");
            millis.add((System.nanoTime() - start) / 1_000_000);
            assertRunsAsBefore(guest, before);
        }
        millis.sort(null);
        System.out.println("seen running within so many ms of the kill: " + millis);
        for (String signal : List.of("INT", "TERM")) {
            ChildProcess bake = bakeInChild(processes, guest, directory, "state saved");
            bake.awaitLine("paused");
            int before = guest.lastTick();
            processes.command("kill", "-" + signal, Long.toString(bake.pid())).awaitExit();
            assertThat(bake.awaitExit().status()).isGreaterThan(128);
            assertRunsAsBefore(guest, before);
        }
        ChildProcess.Exit exhausted = bakeInChild(processes, guest, directory, KilledBake.OUT_OF_MEMORY).awaitExit();
        assertThat(exhausted.errors()).contains("OutOfMemoryError");
        assertRunsAsBefore(guest, guest.lastTick());
        try (DirectoryStore store = store(directory)) {
            assertThat(store.list()).isEmpty();
        }
    }

    private static ChildProcess bakeInChild(ChildProcesses processes, LinuxGuest guest, Path directory, String point) {
        return processes.interruptibleJava(KilledBake.class, guest.socket().toString(),
                directory.resolve("store").toString(), point);
    }

    private static void assertRunsAsBefore(LinuxGuest guest, int before) throws IOException {
        assertThat(guest.status()).isEqualTo("running");
        assertThat(capabilitySet(guest)).as("migrations carry RAM again").isFalse();
        // One tick may have been said before the pause and be read only now.
        for (int tick = guest.awaitTick(); tick <= before + 1;) {
            tick = guest.awaitTick();
        }
    }

    private static boolean capabilitySet(LinuxGuest guest) throws IOException {
        try (QmpConnection qmp = guest.connect()) {
            for (var capability : qmp.execute("query-migrate-capabilities", Map.of(), LinuxGuest.PATIENCE).list()) {
                if (capability.get("capability").text().equals("x-ignore-shared")) {
                    return capability.get("state").truth();
                }
            }
        }
        throw new AssertionError("no such capability");
    }

    private static RestoredVmm restore(DirectoryStore store, String id, Path directory) throws IOException {
        try (StoredSnapshot held = store.hold(new SnapshotId(id))) {
            return QemuVmm.restore(held, directory, Progress.NONE);
        }
    }

    /** Whether the bytes of a file from an offset on are those of another file. */
    private static boolean isAt(Path file, long offset, Path expected) throws IOException {
        try (FileChannel all = FileChannel.open(file, StandardOpenOption.READ);
                FileChannel part = FileChannel.open(expected, StandardOpenOption.READ)) {
            return all.map(FileChannel.MapMode.READ_ONLY, offset, Files.size(expected))
                    .mismatch(part.map(FileChannel.MapMode.READ_ONLY, 0, Files.size(expected))) == -1;
        }
    }
}
