package io.microsnap.dirty;

import static io.microsnap.dirty.BitmapModel.runsOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dirty.BitmapModel.Run;
import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

@EnabledOnOs(OS.LINUX)
class PageMapSourceTest {
    private static final Posix POSIX = Posix.host();
    private static final Constants CONSTANTS = POSIX.constants();
    private static final long PAGE = POSIX.getpagesize();
    private static final GuestLayout LAYOUT = GuestLayout.of((int) PAGE,
            List.of(new Region(0, 40 * PAGE), new Region(1L << 30, 24 * PAGE)));
    private static final SnapshotReference SNAPSHOT =
            new SnapshotReference(new SnapshotId("base"), new UUID(1, 2), 3);

    @BeforeEach
    void theKernelHasIt() throws IOException {
        try (GuestRam ram = anonymous(POSIX)) {
            PageMapSource.of(POSIX, ram).close();
        } catch (TrackingUnavailableException unavailable) {
            Assumptions.abort(unavailable.getMessage());
        }
    }

    @Test
    void aKernelWithoutItIsNamedAsTheReason() throws IOException {
        assertUnavailable(FaultyPosix.host().every("userfaultfd").fails(Errno.ENOSYS), "no userfaultfd");
        assertUnavailable(FaultyPosix.host().every("userfaultfd").fails(Errno.EPERM), "seccomp");
        // UFFDIO_API, then UFFDIO_REGISTER on what was not agreed on.
        assertUnavailable(FaultyPosix.host().at("ioctl", 1).andLater().fails(Errno.EINVAL), "Linux 6.7");
        // PAGEMAP_SCAN.
        assertUnavailable(FaultyPosix.host().at("ioctl", 3).fails(Errno.ENOTTY), "Linux 6.7");
    }

    @Test
    void whateverCallFailsNothingLeaksAndNoChangeIsLost() throws IOException {
        FaultyPosix counting = FaultyPosix.host();
        life(counting);
        assertThat(counting.openDescriptors()).isEmpty();
        for (int position = 1; position <= counting.calls(); position++) {
            FaultyPosix faulty = FaultyPosix.host().at(position).fails(Errno.EIO);
            life(faulty);
            assertThat(faulty.openDescriptors()).as("failing call %d", position).isEmpty();
            assertThat(faulty.mappedBytes()).as("failing call %d", position).isZero();
        }
    }

    @Test
    void aMappingThatWasReplacedMakesTheHarvestFailAndTheNextEpochUnknown() throws IOException {
        try (GuestRam ram = anonymous(POSIX);
                DirtyTracker tracker = DirtyTracker.of(LAYOUT, PageMapSource.of(POSIX, ram))) {
            tracker.armRelativeTo(SNAPSHOT);
            long replaced = POSIX.mmap(ram.mapping(1).address(), PAGE, CONSTANTS.PROT_READ | CONSTANTS.PROT_WRITE,
                    CONSTANTS.MAP_PRIVATE | CONSTANTS.MAP_ANONYMOUS | CONSTANTS.MAP_FIXED, -1, 0);
            assertThat(replaced).isEqualTo(ram.mapping(1).address());
            Epoch epoch = tracker.harvest();
            assertThat(epoch.relativeTo()).isEmpty();
            assertThat(epoch.unknownBecause())
                    .hasValueSatisfying(reason -> assertThat(reason).contains("page map scan"));
            epoch.commit(SNAPSHOT);
            ram.mapping(1).set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
            Epoch next = tracker.harvest();
            assertThat(next.relativeTo()).as("the new mapping is watched").contains(SNAPSHOT);
            assertThat(runsOf(next.bitmap(), 0)).containsExactly(new Run(40 * PAGE, PAGE));
        }
    }

    @Test
    void memoryClosedWhileItIsWatchedStaysMappedSoThatNoOtherGuestIsTakenForIt() throws IOException {
        FaultyPosix calls = FaultyPosix.host();
        GuestRam ram = anonymous(calls.posix());
        int before = calls.calls("munmap");
        try (PageMapSource source = PageMapSource.of(POSIX, ram)) {
            source.arm();
            ram.close();
            source.harvest(DirtyBitmap.of(LAYOUT));
            assertThat(calls.calls("munmap")).isEqualTo(before);
        }
        assertThat(calls.calls("munmap")).isEqualTo(before + 1);
        assertThat(calls.mappedBytes()).isZero();
    }

    @Test
    void aUserfaultfdThatWouldMakeWritersWaitIsRefused(CCompiler compiler, ChildProcesses children)
            throws IOException {
        try (HandedOverGuest guest = HandedOverGuest.start(compiler, children, "synchronous")) {
            assertThatThrownBy(guest::openSource).isInstanceOf(TrackingUnavailableException.class)
                    .hasMessageContaining("UFFD_FEATURE_WP_ASYNC");
            guest.write(WritePath.MAPPING, new long[] {0, PAGE}, 7);
        }
    }

    @Test
    void whenTheWatchedProcessIsGoneHarvestingFailsAndClosingDoesNot(
            CCompiler compiler, ChildProcesses children) throws IOException {
        try (HandedOverGuest guest = HandedOverGuest.start(compiler, children, "fresh");
                DirtySource source = guest.openSource()) {
            source.arm();
            guest.child().kill();
            // Some kernels let the scan itself fail, others find nothing to report.
            assertThatThrownBy(() -> source.harvest(DirtyBitmap.of(source.layout()))).isInstanceOf(IOException.class)
                    .hasMessageMatching(".*(PAGEMAP_SCAN|UFFDIO_REGISTER).*failed with ESRCH.*");
            assertThatThrownBy(source::arm).isInstanceOf(IOException.class).hasMessageContaining("UFFDIO_REGISTER");
        }
    }

    @Test
    void addressesThatCannotBeAreRefusedByName() throws IOException {
        try (Descriptor any = Descriptor.open(POSIX, Path.of("/dev/null"), CONSTANTS.O_RDONLY, 0)) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> PageMapSource.of(LAYOUT, new long[] {PAGE}, any, any))
                    .withMessageContaining("1 addresses").withMessageContaining("2 regions");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> PageMapSource.of(LAYOUT, new long[] {PAGE, 0xabc}, any, any))
                    .withMessageContaining("abc");
        }
    }

    @Test
    void anImportedImageThatEndsMidPageIsWatchedToItsEnd() throws IOException {
        GuestLayout imported = GuestLayout.ofImportedImage((int) PAGE, List.of(new Region(0, 2 * PAGE + 100)));
        try (GuestRam ram = GuestRam.of(imported,
                        Mapping.anonymous(POSIX, imported.lengthBytes(), HugePages.NONE));
                DirtySource source = PageMapSource.of(POSIX, ram)) {
            source.arm();
            ram.mapping(0).set(ValueLayout.JAVA_BYTE, 2 * PAGE + 99, (byte) 1);
            DirtyBitmap bitmap = DirtyBitmap.of(imported);
            source.harvest(bitmap);
            assertThat(runsOf(bitmap, 0)).containsExactly(new Run(2 * PAGE, 100));
        }
    }

    @Test
    void noPrivilegeIsNeeded(ChildProcesses children) {
        String setpriv = "/usr/bin/setpriv";
        assumeTrue(Files.isExecutable(Path.of(setpriv)), "no setpriv; to enable: sudo apt-get install util-linux");
        ChildProcess child = children.start(new ProcessBuilder(List.of(setpriv, "--bounding-set=-all",
                "--inh-caps=-all", "--no-new-privs", Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED", "--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED",
                "-cp", System.getProperty("java.class.path"), Unprivileged.class.getName())));
        ChildProcess.Exit exit = child.awaitExit();
        assertThat(exit.output()).as(exit.errors()).contains("CapEff:\t0000000000000000").contains("found 3 40");
    }

    /** Watches two pages being written, in a process that has no capabilities. */
    static final class Unprivileged {
        private Unprivileged() {
        }

        static void main() throws IOException {
            Files.readAllLines(Path.of("/proc/self/status")).forEach(System.out::println);
            try (GuestRam ram = anonymous(POSIX); DirtySource source = PageMapSource.of(POSIX, ram)) {
                source.arm();
                ram.mapping(0).set(ValueLayout.JAVA_BYTE, 3 * PAGE, (byte) 1);
                ram.mapping(1).set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
                DirtyBitmap bitmap = DirtyBitmap.of(LAYOUT);
                source.harvest(bitmap);
                StringBuilder found = new StringBuilder("found");
                bitmap.runs(0, (offset, length) -> found.append(' ').append(offset / PAGE));
                System.out.println(found);
            }
        }
    }

    /** Restored, written, captured twice. An epoch that knows what changed knows all of it. */
    private static void life(FaultyPosix faulty) throws IOException {
        Posix posix = faulty.posix();
        try (GuestRam ram = anonymous(posix);
                DirtyTracker tracker = DirtyTracker.of(LAYOUT, PageMapSource.of(posix, ram))) {
            tracker.armRelativeTo(SNAPSHOT);
            for (int page = 0; page < 4; page += 2) {
                ram.mapping(0).set(ValueLayout.JAVA_BYTE, page * PAGE, (byte) 1);
                ram.mapping(1).set(ValueLayout.JAVA_BYTE, page * PAGE, (byte) 1);
                Epoch epoch = tracker.harvest();
                if (epoch.relativeTo().isPresent()) {
                    assertThat(runsOf(epoch.bitmap(), 0))
                            .containsExactly(new Run(page * PAGE, PAGE), new Run((40 + page) * PAGE, PAGE));
                } else {
                    assertThat(epoch.unknownBecause())
                            .hasValueSatisfying(reason -> assertThat(reason).contains("EIO"));
                }
                epoch.commit(SNAPSHOT);
            }
        } catch (IOException planned) {
            assertThat(planned).as("%s", planned).hasMessageContaining("EIO");
        }
    }

    private static void assertUnavailable(FaultyPosix lacking, String reason) throws IOException {
        try (GuestRam ram = anonymous(POSIX)) {
            assertThatThrownBy(() -> PageMapSource.of(lacking.posix(), ram))
                    .isInstanceOf(TrackingUnavailableException.class).hasMessageContaining(reason);
        }
        assertThat(lacking.openDescriptors()).isEmpty();
    }

    private static GuestRam anonymous(Posix posix) throws IOException {
        return GuestRam.anonymous(posix, LAYOUT, HugePages.NONE);
    }
}
