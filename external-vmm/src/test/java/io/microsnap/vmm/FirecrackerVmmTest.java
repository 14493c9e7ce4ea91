package io.microsnap.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.CancelledException;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Guests of a Firecracker that keeps to the letter of its documents and code; its files are compared byte for byte. */
class FirecrackerVmmTest {
    private static final Duration LONG = Duration.ofSeconds(30);
    private static final Duration SHORT = Duration.ofSeconds(2);
    private static final int PAGE = FirecrackerStandIn.PAGE;

    @TempDir
    private Path directory;
    private Path scratch;
    private VmmOptions options;
    private FirecrackerStandIn firecracker;
    private DirectoryStore store;

    @BeforeEach
    void start() throws IOException {
        scratch = Files.createDirectory(directory.resolve("scratch"));
        firecracker = new FirecrackerStandIn(directory.resolve("api"), Path.of("/"));
        new Random(1).nextBytes(firecracker.ram);
        Arrays.fill(firecracker.ram, 1 << 20, 2 << 20, (byte) 0);
        options = VmmOptions.of(directory.resolve("api")).scratch(scratch).patience(LONG);
        store = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
    }

    @AfterEach
    void stop() throws IOException {
        store.close();
        firecracker.close();
    }

    private CaptureResult bake(VmmOptions how, String id, String parent) throws IOException {
        try (FirecrackerVmm vmm = FirecrackerVmm.open(how)) {
            return vmm.bake(store, new SnapshotId(id), capture -> parent.isEmpty() ? capture
                    : capture.base(new SnapshotId(parent)));
        }
    }

    private Path restore(String id) throws IOException {
        Path copy = directory.resolve("copy-" + id);
        try (StoredSnapshot held = store.hold(new SnapshotId(id))) {
            FirecrackerVmm.restore(held, copy, Progress.NONE);
        }
        return copy;
    }

    private void assertScratchIsEmpty() throws IOException {
        try (Stream<Path> left = Files.list(scratch)) {
            assertThat(left.filter(file -> !file.toString().endsWith(".last"))).isEmpty();
        }
    }

    @Test
    void aBakeIsWhatFirecrackerWroteAndLoadsIntoAFreshOne() throws Exception {
        CaptureResult result = bake(options, "one", "");
        assertThat(result.kind()).isEqualTo(CaptureKind.FULL);
        assertThat(firecracker.state()).isEqualTo("Running");
        assertThat(firecracker.calls()).containsSubsequence("PATCH /vm {\"state\":\"Paused\"}",
                "PATCH /vm {\"state\":\"Resumed\"}").anyMatch(call -> call.contains("\"snapshot_type\":\"Full\""));
        assertScratchIsEmpty();
        Path copy = restore("one");
        assertThat(Files.readAllBytes(copy.resolve("memory"))).isEqualTo(firecracker.ram);
        Path socket = directory.resolve("fresh");
        try (FirecrackerStandIn fresh = new FirecrackerStandIn(socket, Path.of("/"))) {
            fresh.state("Not started");
            FirecrackerVmm.resume(VmmOptions.of(socket), copy);
            assertThat(fresh.state()).isEqualTo("Running");
            assertThat(fresh.ram).isEqualTo(firecracker.ram);
        }
    }

    @Test
    void aDiffHoldsWhatChangedAndItsHolesAreTheParents() throws Exception {
        bake(options, "one", "");
        firecracker.write(5 * PAGE, 77);
        firecracker.write(300 * PAGE, 78);
        Arrays.fill(firecracker.ram, 7 * PAGE, 8 * PAGE, (byte) 0);
        firecracker.write(7 * PAGE, 0);
        CaptureResult diff = bake(options.changesSince(new SnapshotId("one")), "two", "one");
        assertThat(firecracker.calls()).anyMatch(call -> call.contains("\"snapshot_type\":\"Diff\""));
        assertThat(diff.memory().pagesOffered()).as("page 0 is written by the create itself").isEqualTo(4);
        assertThat(Files.readAllBytes(restore("two").resolve("memory"))).isEqualTo(firecracker.ram);
        firecracker.write(9 * PAGE, 1);
        bake(options.changesSince(new SnapshotId("two")), "three", "two");
        assertThat(Files.readAllBytes(restore("three").resolve("memory"))).isEqualTo(firecracker.ram);
    }

    @Test
    void aDiffIsRefusedUnlessTheParentIsTheLastBakeOfThisProcess() throws Exception {
        bake(options, "one", "");
        bake(options, "two", "one");
        assertThatThrownBy(() -> bake(options.changesSince(new SnapshotId("one")), "three", "one"))
                .hasMessageContaining("one is not the last snapshot that was baked from");
        // This one fails after the create: what changed before it is in no snapshot.
        assertThatThrownBy(() -> {
            try (FirecrackerVmm vmm = FirecrackerVmm.open(options)) {
                vmm.bake(store, new SnapshotId("failed"), capture -> capture.progress((done, total) -> {
                    throw new CancelledException("stop");
                }));
            }
        }).hasMessageContaining("stop");
        assertThatThrownBy(() -> bake(options.changesSince(new SnapshotId("two")), "three", "two"))
                .hasMessageContaining("a later bake failed");
        assertThat(firecracker.state()).isEqualTo("Running");
        assertThat(bake(options, "three", "two").memory().pagesOffered()).isPositive();
    }

    @Test
    void diffsThatFirecrackerWouldGetWrongAreRefused() throws Exception {
        firecracker.version("1.14.1");
        firecracker.machine("mem_size_mib", 4096L);
        VmmOptions diff = options.changesSince(new SnapshotId("one"));
        assertThatThrownBy(() -> FirecrackerVmm.open(diff)).hasMessageContaining("1.14.2 or later");
        firecracker.version("1.14.2");
        firecracker.machine("track_dirty_pages", false);
        assertThatThrownBy(() -> FirecrackerVmm.open(diff)).hasMessageContaining("track_dirty_pages");
    }

    @Test
    void guestsThatCannotBeBakedAreRefusedBeforeThePause() throws Exception {
        firecracker.version("2.0.0");
        assertThatThrownBy(() -> FirecrackerVmm.open(options)).hasMessageContaining("not a known release");
        firecracker.version("1.13.1");
        firecracker.configured("memory-hotplug", Map.of("total_size_mib", 1024L));
        assertThatThrownBy(() -> FirecrackerVmm.open(options)).hasMessageContaining("hot-plugged");
        firecracker.state("Not started");
        assertThatThrownBy(() -> FirecrackerVmm.open(options)).hasMessageContaining("'Not started'");
        assertThatThrownBy(() -> FirecrackerVmm.open(VmmOptions.of(directory.resolve("none"))))
                .hasMessageContaining("none");
        assertThat(firecracker.calls()).noneMatch(call -> call.startsWith("PATCH"));
    }

    @Test
    void withoutAScratchDirectoryTheRemedyIsSaid() {
        assertThatThrownBy(() -> FirecrackerVmm.open(VmmOptions.of(directory.resolve("api"))))
                .hasMessageContaining("--scratch DIR");
    }

    @Test
    void pathsAreToldAsAJailedFirecrackerSeesThem() throws Exception {
        firecracker.close();
        Path jail = Files.createDirectory(directory.resolve("jail"));
        Path inside = Files.createDirectory(jail.resolve("tmp"));
        Path socket = jail.resolve("api");
        firecracker = new FirecrackerStandIn(socket, jail);
        VmmOptions jailed = VmmOptions.of(socket).jail(jail);
        assertThatThrownBy(() -> bake(jailed.scratch(scratch), "one", "")).hasMessageContaining("cannot reach it");
        bake(jailed.scratch(inside), "one", "");
        assertThat(firecracker.calls()).anyMatch(call -> call.contains("\"mem_file_path\":\"/tmp/microsnap-"));
        assertThat(Files.readAllBytes(restore("one").resolve("memory"))).isEqualTo(firecracker.ram);
    }

    @Test
    void aGuestThatWasPausedStaysPaused() throws Exception {
        firecracker.state("Paused");
        bake(options, "one", "");
        assertThat(firecracker.state()).isEqualTo("Paused");
        assertThat(firecracker.calls()).noneMatch(call -> call.startsWith("PATCH"));
    }

    @ParameterizedTest
    @CsvSource({
        "Paused, REFUSES, Firecracker refused PATCH /vm (status 400): refused for a reason",
        "Paused, TALKS_NONSENSE, is not HTTP of the kind that VMMs use",
        "Paused, TALKS_MUCH_NONSENSE, bytes of headers",
        "Paused, HANGS, no answer to PATCH /vm within 2000 ms",
        "snapshot/create, REFUSES, refused PUT /snapshot/create",
        "snapshot/create, TALKS_NONSENSE, is not HTTP",
        "snapshot/create, HANGS, no answer to PUT /snapshot/create",
        "Resumed, REFUSES, refused PATCH /vm",
        "Resumed, HANGS, no answer to PATCH /vm",
        "Resumed, TALKS_MUCH_NONSENSE, bytes of headers",
    })
    void whateverFailsTheGuestRunsAgain(String call, HttpStandIn.Fault fault, String message) throws Exception {
        firecracker.failing(call, fault);
        assertThatThrownBy(() -> bake(options.patience(fault == HttpStandIn.Fault.HANGS ? SHORT : LONG), "one", ""))
                .hasMessageContaining(message);
        firecracker.awaitRunning();
        assertThat(store.list()).isEmpty();
    }

    @Test
    void aBakeThatRunsOutOfMemoryLeavesARunningGuest() throws Exception {
        try (FirecrackerVmm vmm = FirecrackerVmm.open(options)) {
            assertThatThrownBy(() -> vmm.bake(store, new SnapshotId("one"), capture -> capture.progress(
                    (done, total) -> {
                        throw new OutOfMemoryError("made up");
                    }))).isInstanceOf(OutOfMemoryError.class);
        }
        assertThat(firecracker.state()).isEqualTo("Running");
        assertThat(store.list()).isEmpty();
        assertScratchIsEmpty();
    }

    @ParameterizedTest
    @CsvSource({"Paused", "snapshot/create", "Resumed"})
    void aVmmThatDiesIsNamedAndNothingIsKept(String call) throws Exception {
        firecracker.failing(call, HttpStandIn.Fault.DIES);
        assertThatThrownBy(() -> bake(options, "one", "")).hasMessageContaining("has it ended?");
        assertThat(store.list()).isEmpty();
    }

    @Test
    void filesThatOtherToolsWroteAreImported() throws Exception {
        Path memory = Files.write(directory.resolve("m"), firecracker.ram);
        Path state = Files.write(directory.resolve("v"), FirecrackerStandIn.withChecksum(new byte[] {1, 2, 3}));
        VmmFiles.importFirecracker(store, new SnapshotId("one"),
                new VmmFiles.Firecracker(memory, state, Optional.empty(), Optional.empty()), capture -> capture);
        assertThat(Files.readAllBytes(restore("one").resolve("memory"))).isEqualTo(firecracker.ram);
        assertThat(Files.readAllBytes(directory.resolve("copy-one/vmstate"))).isEqualTo(Files.readAllBytes(state));

        firecracker.state("Paused");
        Path diff = directory.resolve("d");
        firecracker.answer("PUT /snapshot/create", "{\"snapshot_type\": \"Full\", \"snapshot_path\": \"" + state
                + "\", \"mem_file_path\": \"" + memory + "\"}");
        VmmFiles.importFirecracker(store, new SnapshotId("base"),
                new VmmFiles.Firecracker(memory, state, Optional.empty(), Optional.empty()), capture -> capture);
        firecracker.write(11 * PAGE, 5);
        firecracker.answer("PUT /snapshot/create", "{\"snapshot_type\": \"Diff\", \"snapshot_path\": \"" + state
                + "\", \"mem_file_path\": \"" + diff + "\"}");
        VmmFiles.importFirecracker(store, new SnapshotId("two"), new VmmFiles.Firecracker(diff, state,
                Optional.empty(), Optional.of(new SnapshotId("base"))), capture -> capture);
        assertThat(Files.readAllBytes(restore("two").resolve("memory"))).isEqualTo(firecracker.ram);
    }

    @Test
    void aDamagedStateIsNotImported() throws Exception {
        Path memory = Files.write(directory.resolve("m"), firecracker.ram);
        byte[] whole = FirecrackerStandIn.withChecksum(new byte[] {1, 2, 3});
        whole[1] ^= 4;
        Path state = Files.write(directory.resolve("v"), whole);
        VmmFiles.Firecracker files = new VmmFiles.Firecracker(memory, state, Optional.empty(), Optional.empty());
        assertThatThrownBy(() -> VmmFiles.importFirecracker(store, new SnapshotId("one"), files, capture -> capture))
                .hasMessageContaining("is damaged");
        Files.write(state, new byte[64]);
        assertThatThrownBy(() -> VmmFiles.importFirecracker(store, new SnapshotId("one"), files, capture -> capture))
                .as("zeros, as after a crash").hasMessageContaining("is damaged");
        Files.write(state, new byte[0]);
        assertThatThrownBy(() -> VmmFiles.importFirecracker(store, new SnapshotId("one"), files, capture -> capture))
                .hasMessageContaining("not a state file");
        assertThat(store.list()).isEmpty();
    }

    @Test
    void aDirectoryThatHoldsSomethingElseIsNotTouched() throws Exception {
        bake(options, "one", "");
        Path taken = Files.createDirectory(directory.resolve("taken"));
        Files.writeString(taken.resolve("mine"), "mine");
        try (StoredSnapshot held = store.hold(new SnapshotId("one"))) {
            assertThatThrownBy(() -> FirecrackerVmm.restore(held, taken, Progress.NONE))
                    .isInstanceOf(DirectoryNotEmptyException.class);
            assertThatThrownBy(() -> QemuVmm.restore(held, directory.resolve("new"), Progress.NONE))
                    .hasMessageContaining("was not baked from QEMU");
        }
        assertThat(directory.resolve("new")).doesNotExist();
        try (Stream<Path> files = Files.list(directory)) {
            assertThat(files.map(file -> file.getFileName().toString())).noneMatch(name -> name.startsWith(".micro"));
        }
        assertThatThrownBy(() -> FirecrackerVmm.resume(options, taken)).hasMessageContaining("vmstate");
    }

    @Test
    void writableDrivesThatAreNotKeptAreNamed() throws Exception {
        Path disk = Files.writeString(directory.resolve("root.ext4"), "disk");
        firecracker.configured("drives", List.of(Map.of("drive_id", "root", "path_on_host", disk.toString(),
                "is_read_only", false)));
        try (FirecrackerVmm vmm = FirecrackerVmm.open(options)) {
            assertThat(vmm.warnings()).hasSize(1).first().asString().contains("--attach " + disk);
        }
    }
}
