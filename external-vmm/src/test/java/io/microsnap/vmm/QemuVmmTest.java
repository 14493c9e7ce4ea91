package io.microsnap.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.CaptureResult;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.vmm.internal.qemu.QemuDescription;
import io.microsnap.vmm.internal.wire.QmpConnection;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a bake over QMP does when something is not as it should be: the guest runs again, and the store is empty. */
class QemuVmmTest {
    private static final SnapshotId ID = new SnapshotId("guest");
    private static final Duration LONG = Duration.ofSeconds(30);
    private static final Duration SHORT = Duration.ofSeconds(2);

    @TempDir
    private Path directory;
    private Path socket;

    @BeforeEach
    void nameSocket() {
        socket = directory.resolve("qmp");
    }

    private DirectoryStore store() throws IOException {
        return DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE);
    }

    private CaptureResult bake(VmmOptions options) throws IOException {
        try (DirectoryStore store = store(); QemuVmm vmm = QemuVmm.open(options)) {
            return vmm.bake(store, ID, capture -> capture);
        }
    }

    private VmmOptions patient(Duration patience) {
        return VmmOptions.of(socket).patience(patience);
    }

    private void assertNothingIsLeft() throws IOException {
        try (DirectoryStore store = store()) {
            assertThat(store.list()).isEmpty();
        }
        try (Stream<Path> staged = Files.list(directory.resolve("store/.staging"))) {
            assertThat(staged).isEmpty();
        }
    }

    @Test
    void aBakeStopsSavesAndResumesAndPutsCapabilitiesBack() throws Exception {
        try (QmpStandIn qemu = new QmpStandIn(directory)) {
            bake(patient(LONG));
            assertThat(qemu.isRunning()).isTrue();
            assertThat(qemu.skipsShared()).isFalse();
            assertThat(qemu.commands()).containsSubsequence("migrate-set-capabilities", "stop", "migrate", "cont",
                    "migrate-set-capabilities");
            try (DirectoryStore store = store(); StoredSnapshot held = store.hold(ID)) {
                assertThat(held.open("attachments/" + QemuDescription.STATE).sizeBytes()).isPositive();
                assertThat(held.open("attachments/" + QemuDescription.FILE).sizeBytes()).isPositive();
            }
        }
    }

    @Test
    void aGuestThatWasPausedStaysPaused() throws Exception {
        try (QmpStandIn qemu = new QmpStandIn(directory).paused()) {
            bake(patient(LONG));
            assertThat(qemu.isRunning()).isFalse();
            assertThat(qemu.commands()).doesNotContain("cont", "stop");
        }
    }

    @Test
    void aGuestIsLeftPausedOnlyIfTheBakeSucceeds() throws Exception {
        try (QmpStandIn qemu = new QmpStandIn(directory).failing("migrate", QmpStandIn.Fault.REFUSES)) {
            assertThatThrownBy(() -> bake(patient(LONG).leavePaused())).hasMessageContaining("refused 'migrate'");
            assertThat(qemu.isRunning()).isTrue();
            bake(patient(LONG).leavePaused());
            assertThat(qemu.isRunning()).isFalse();
        }
    }

    @ParameterizedTest
    @CsvSource({
        "stop, REFUSES, refused 'stop': refused  for a reason",
        "stop, TALKS_NONSENSE, is not JSON",
        "stop, TALKS_MUCH_NONSENSE, a line of more than",
        "stop, HANGS, did not answer 'stop' within 2000 ms",
        "migrate, REFUSES, refused 'migrate'",
        "migrate, TALKS_NONSENSE, is not JSON",
        "migrate, HANGS, did not answer 'migrate'",
        "query-migrate, REFUSES, refused 'query-migrate'",
        "cont, REFUSES, refused 'cont'",
        "cont, HANGS, did not answer 'cont'",
        "cont, TALKS_MUCH_NONSENSE, a line of more than",
    })
    void whateverFailsTheGuestRunsAgain(String command, QmpStandIn.Fault fault, String message) throws Exception {
        try (QmpStandIn qemu = new QmpStandIn(directory); DirectoryStore store = store()) {
            try (QemuVmm vmm = QemuVmm.open(patient(fault == QmpStandIn.Fault.HANGS ? SHORT : LONG))) {
                qemu.failing(command, fault);
                assertThatThrownBy(() -> vmm.bake(store, ID, capture -> capture)).hasMessageContaining(message);
            }
            qemu.awaitRunning();
            assertThat(qemu.skipsShared()).isFalse();
        }
        assertNothingIsLeft();
    }

    @ParameterizedTest
    @CsvSource({"stop", "migrate", "cont"})
    void aVmmThatDiesIsNamedAndNothingIsKept(String command) throws Exception {
        try (QmpStandIn qemu = new QmpStandIn(directory); DirectoryStore store = store();
                QemuVmm vmm = QemuVmm.open(patient(LONG))) {
            qemu.failing(command, QmpStandIn.Fault.DIES);
            assertThatThrownBy(() -> vmm.bake(store, ID, capture -> capture))
                    .hasMessageContaining("may have ended");
        }
        assertNothingIsLeft();
    }

    @Test
    void noSocketAndNobodyListening() throws IOException {
        assertThatThrownBy(() -> QemuVmm.open(patient(LONG))).hasMessageContaining("qmp");
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
        }
        assertThatThrownBy(() -> QemuVmm.open(patient(LONG))).hasMessageContaining("no process listens");
    }

    @Test
    void aSecondClientIsToldThatAMonitorServesOne() throws Exception {
        try (QmpStandIn qemu = new QmpStandIn(directory); QmpConnection first = QmpConnection.open(socket, LONG)) {
            assertThat(qemu.isRunning()).isTrue();
            assertThatThrownBy(() -> QemuVmm.open(patient(Duration.ofMillis(300))))
                    .hasMessageContaining("serves one client at a time");
            first.execute("query-status", Map.of(), LONG);
        }
    }

    @Test
    void guestsThatCannotBeBakedAreRefusedBeforeThePauseWithTheRemedy() throws Exception {
        assertRefused("/objects/ram share", false, "share=on");
        assertRefused("/machine memory-backend", "", "memory-backend=ram");
        assertRefused("/machine type", "virt-9.0-machine", "RAM layout of the machine type 'virt-9.0' is unknown");
        assertRefused("query-memory-devices", List.of(Map.of("type", "dimm")), "DIMMs");
        assertRefused("/objects/ram size", 2 * QmpStandIn.RAM_BYTES, "has mapped shared");
        assertRefused("/objects/ram offset", 4096, "leave out offset=");
        assertRefused("query-status", Map.of("status", "inmigrate"), "'inmigrate'");
        assertRefused("query-migrate", Map.of("blocked-reasons", List.of("VFIO device")), "VFIO device");
        assertRefused("query-migrate", Map.of("status", "active"), "is being migrated");
        assertRefused("query-migrate-capabilities", List.of(), "QEMU 4.0 and later");
        assertRefused("/objects/ram size", "large", "is not a whole number");
    }

    private void assertRefused(String query, Object answer, String message) throws Exception {
        Files.deleteIfExists(socket);
        try (QmpStandIn qemu = new QmpStandIn(directory).answering(query, answer)) {
            assertThatThrownBy(() -> QemuVmm.open(patient(LONG))).hasMessageContaining(message);
            assertThat(qemu.isRunning()).isTrue();
            assertThat(qemu.commands()).doesNotContain("stop", "migrate-set-capabilities");
        }
    }

    @Test
    void aMemfdIsRefusedWhereQemuWouldSendItWithItsState() throws Exception {
        try (QmpStandIn qemu = new QmpStandIn(directory).answering("/objects/ram mem-path", "").ofMajorVersion(8)) {
            assertThatThrownBy(() -> QemuVmm.open(patient(LONG))).hasMessageContaining("RAM is a memfd, and QEMU 8.0.2")
                    .hasMessageContaining("memory-backend-file");
            qemu.ofMajorVersion(7);
            bake(patient(LONG));
            assertThat(qemu.isRunning()).isTrue();
        }
    }

    @Test
    void aBakeThatRunsOutOfMemoryLeavesARunningGuest() throws Exception {
        try (QmpStandIn qemu = new QmpStandIn(directory); DirectoryStore store = store();
                QemuVmm vmm = QemuVmm.open(patient(LONG))) {
            assertThatThrownBy(() -> vmm.bake(store, ID, capture -> capture.progress((done, total) -> {
                if (!qemu.isRunning()) {
                    throw new OutOfMemoryError("made up");
                }
            }))).isInstanceOf(OutOfMemoryError.class);
            assertThat(qemu.isRunning()).isTrue();
            assertThat(qemu.skipsShared()).isFalse();
        }
        assertNothingIsLeft();
    }

    @Test
    void aProcessThatDoesNotHaveTheRamIsNotTakenForTheVmm() throws Exception {
        try (QmpStandIn qemu = new QmpStandIn(directory)) {
            assertThatThrownBy(() -> QemuVmm.open(patient(LONG).process(1))).hasMessageContaining("process");
            assertThat(qemu.isRunning()).isTrue();
        }
    }

    @Test
    void writableDisksThatAreNotKeptAreNamed() throws Exception {
        Path kept = Files.writeString(directory.resolve("kept.img"), "disk");
        Path forgotten = Files.writeString(directory.resolve("forgotten.img"), "disk");
        Object disks = List.of(disk(kept, false), disk(forgotten, false), disk(directory.resolve("cd.iso"), true));
        try (QmpStandIn qemu = new QmpStandIn(directory).answering("query-block", disks);
                QemuVmm vmm = QemuVmm.open(patient(LONG).attach(kept))) {
            assertThat(qemu.isRunning()).isTrue();
            assertThat(vmm.warnings()).hasSize(1).first().asString().contains(forgotten.toString(), "--attach");
            assertThat(vmm.clonedAttachments()).containsExactly("kept.img");
        }
    }

    private static Map<String, Object> disk(Path file, boolean readOnly) {
        return Map.of("device", "d", "inserted", Map.of("file", file.toString(), "ro", readOnly));
    }
}
