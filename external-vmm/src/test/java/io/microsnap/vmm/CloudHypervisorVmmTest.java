package io.microsnap.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.CaptureResult;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Guests of a Cloud Hypervisor that keeps to the letter of its code; its directory comes back byte for byte. */
class CloudHypervisorVmmTest {
    private static final Duration LONG = Duration.ofSeconds(30);
    private static final Duration SHORT = Duration.ofSeconds(2);

    @TempDir
    private Path directory;
    private Path scratch;
    private VmmOptions options;
    private CloudHypervisorStandIn cloud;
    private DirectoryStore store;

    @BeforeEach
    void start() throws IOException {
        scratch = Files.createDirectory(directory.resolve("scratch"));
        cloud = new CloudHypervisorStandIn(directory.resolve("api"));
        new Random(1).nextBytes(cloud.ram);
        options = VmmOptions.of(directory.resolve("api")).scratch(scratch).patience(LONG);
        store = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
    }

    @AfterEach
    void stop() throws IOException {
        store.close();
        cloud.close();
    }

    private CaptureResult bake(VmmOptions how, String id, String parent) throws IOException {
        try (CloudHypervisorVmm vmm = CloudHypervisorVmm.open(how)) {
            return vmm.bake(store, new SnapshotId(id), capture -> parent.isEmpty() ? capture
                    : capture.base(new SnapshotId(parent)));
        }
    }

    private Path restore(String id) throws IOException {
        Path copy = directory.resolve("copy-" + id);
        try (StoredSnapshot held = store.hold(new SnapshotId(id))) {
            CloudHypervisorVmm.restore(held, copy, Progress.NONE);
        }
        return copy;
    }

    @Test
    void aDirectoryComesBackInItsOwnOrderAndLoads() throws Exception {
        bake(options, "one", "");
        assertThat(cloud.state()).isEqualTo("Running");
        try (Stream<Path> left = Files.list(scratch)) {
            assertThat(left).isEmpty();
        }
        Path copy = restore("one");
        byte[] ranges = Files.readAllBytes(copy.resolve("memory-ranges"));
        assertThat(Arrays.copyOf(ranges, CloudHypervisorStandIn.ZONE)).as("the last zone comes first").isEqualTo(
                Arrays.copyOfRange(cloud.ram, 2 * CloudHypervisorStandIn.ZONE, 3 * CloudHypervisorStandIn.ZONE));
        assertThat(copy.resolve("state.json")).hasContent(cloud.stateJson());
        try (Stream<Path> files = Files.list(copy)) {
            assertThat(files.map(file -> file.getFileName().toString()))
                    .containsExactlyInAnyOrder("config.json", "state.json", "memory-ranges");
        }
        Path socket = directory.resolve("fresh");
        try (CloudHypervisorStandIn fresh = new CloudHypervisorStandIn(socket)) {
            fresh.state("None");
            CloudHypervisorVmm.resume(VmmOptions.of(socket), copy);
            assertThat(fresh.state()).isEqualTo("Running");
            assertThat(fresh.ram).isEqualTo(cloud.ram);
            assertThatThrownBy(() -> CloudHypervisorVmm.resume(VmmOptions.of(socket), copy))
                    .hasMessageContaining("has a guest already");
        }
    }

    @Test
    void theNextBakeHoldsWhatDiffersFromItsParent() throws Exception {
        cloud.writesInOrder(0, 1, 2);
        bake(options, "one", "");
        cloud.ram[12345] ^= 1;
        CaptureResult two = bake(options, "two", "one");
        assertThat(two.memory().pagesRecorded()).isEqualTo(1);
        assertThat(Files.readAllBytes(restore("two").resolve("memory-ranges"))).isEqualTo(cloud.ram);
    }

    @Test
    void aDirectoryThatOtherToolsHadWrittenIsImported() throws Exception {
        cloud.state("Paused");
        Path written = Files.createDirectory(directory.resolve("written"));
        cloud.answer("PUT /api/v1/vm.snapshot", "{\"destination_url\": \"file://" + written + "\"}");
        VmmFiles.importCloudHypervisor(store, new SnapshotId("one"), written, capture -> capture);
        for (String file : List.of("config.json", "state.json", "memory-ranges")) {
            assertThat(Files.readAllBytes(restored("one").resolve(file))).isEqualTo(
                    Files.readAllBytes(written.resolve(file)));
        }
        Files.write(written.resolve("memory-ranges"), new byte[4096]);
        assertThatThrownBy(() -> VmmFiles.importCloudHypervisor(store, new SnapshotId("two"), written,
                capture -> capture)).hasMessageContaining("do not belong together");
        assertThatThrownBy(() -> VmmFiles.importCloudHypervisor(store, new SnapshotId("two"), scratch,
                capture -> capture)).hasMessageContaining("not the directory of a Cloud Hypervisor snapshot");
    }

    private Path restored(String id) throws IOException {
        Path copy = directory.resolve("copy-" + id);
        return Files.exists(copy) ? copy : restore(id);
    }

    @Test
    void guestsThatCannotBeBakedAreRefusedBeforeThePause() throws Exception {
        cloud.memory("hotplugged_size", 4096L);
        assertThatThrownBy(() -> CloudHypervisorVmm.open(options)).hasMessageContaining("hot-plugged memory");
        cloud.memory("hotplugged_size", 0L);
        cloud.memory("zones", List.of(Map.of("id", "z", "size", 4096L, "file", "/dev/shm/z", "shared", true)));
        assertThatThrownBy(() -> CloudHypervisorVmm.open(options)).hasMessageContaining("bake that file with --ram");
        cloud.state("Created");
        assertThatThrownBy(() -> CloudHypervisorVmm.open(options)).hasMessageContaining("'Created'");
        assertThat(cloud.calls()).noneMatch(call -> call.startsWith("PUT"));
    }

    @Test
    void aGuestWhoseMemoryIsElsewhereThanItSaidRunsAgain() throws Exception {
        cloud.memory("zones", List.of(Map.of("id", "z", "size", 2L * CloudHypervisorStandIn.ZONE)));
        assertThatThrownBy(() -> bake(options, "one", "")).hasMessageContaining("was expected at");
        assertThat(cloud.state()).isEqualTo("Running");
        assertThat(store.list()).isEmpty();
    }

    @Test
    void aGuestThatWasPausedStaysPaused() throws Exception {
        cloud.state("Paused");
        bake(options, "one", "");
        assertThat(cloud.state()).isEqualTo("Paused");
    }

    @ParameterizedTest
    @CsvSource({
        "vm.pause, REFUSES, 'refused vm.pause (status 500): Error from API: The VM could not do it: refused for a"
                + " reason'",
        "vm.pause, HANGS, no answer to PUT /api/v1/vm.pause",
        "vm.snapshot, REFUSES, refused vm.snapshot",
        "vm.snapshot, TALKS_NONSENSE, is not HTTP",
        "vm.snapshot, TALKS_MUCH_NONSENSE, bytes of headers",
        "vm.snapshot, HANGS, no answer to PUT /api/v1/vm.snapshot",
        "vm.resume, REFUSES, refused vm.resume",
        "vm.resume, HANGS, no answer to PUT /api/v1/vm.resume",
    })
    void whateverFailsTheGuestRunsAgain(String call, HttpStandIn.Fault fault, String message) throws Exception {
        cloud.failing(call, fault);
        assertThatThrownBy(() -> bake(options.patience(fault == HttpStandIn.Fault.HANGS ? SHORT : LONG), "one", ""))
                .hasMessageContaining(message);
        cloud.awaitRunning();
        assertThat(store.list()).isEmpty();
    }
}
