package io.microsnap.memory.internal.reader;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

final class ProcessMemoryReaderTest {
    private static final int PAGE = 4096;

    @Test
    void readsAnotherProcesssMemoryAndKnowsWhatItNeverPopulated(CCompiler compiler, ChildProcesses children)
            throws Exception {
        ChildProcess child = children.command(compiler.program(getClass(), "other_process.c").toString());
        long address = Long.parseLong(child.awaitLine("ram at ").replaceAll("\\D", ""));
        // The second half of its memory is the guest's first region.
        GuestLayout layout = GuestLayout.of(PAGE, List.of(new Region(0, 128 * PAGE), new Region(1 << 30, 128 * PAGE)));

        try (ProcessMemoryReader reader = ProcessMemoryReader.open(Posix.host(), child.pid(), layout,
                List.of(address + 128 * PAGE, address)); Arena arena = Arena.ofConfined()) {
            List<Long> populated = new ArrayList<>();
            reader.populated(0, layout.lengthBytes(), (offset, length) -> {
                assertThat(length).isEqualTo(PAGE);
                populated.add(offset / PAGE);
            });
            assertThat(populated).containsExactlyElementsOf(
                    LongStream.range(0, 32).mapToObj(number -> 8 * number).toList());
            MemorySegment across = arena.allocate(2 * PAGE);
            reader.read(127 * PAGE, across);
            assertThat(across.get(ValueLayout.JAVA_BYTE, 0)).isZero();
            assertThat(across.get(ValueLayout.JAVA_BYTE, PAGE)).isEqualTo((byte) 1);
            reader.read(8 * PAGE, across);
            assertThat(across.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) (136 / 8 + 1));

            child.endInput();
            child.awaitExit();
            assertThatThrownBy(() -> reader.read(0, across)).isInstanceOf(IOException.class)
                    .hasMessageContaining("/mem");
        }
    }

    /** A page that the process has not touched itself may hold data all the same. */
    @Test
    @EnabledOnOs(value = OS.LINUX, disabledReason = "another process's memory is read in /proc")
    void ofMemoryThatIsAFileEverythingIsPopulated(@TempDir Path directory) throws IOException {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 16 * PAGE);
        Path ram = Files.write(directory.resolve("ram"), new byte[16 * PAGE]);
        try (Descriptor file = Descriptor.open(Posix.host(), ram, Posix.host().constants().O_RDWR, 0)) {
            for (Access access : List.of(Access.PRIVATE, Access.SHARED_WRITE)) {
                try (Mapping mapping = Mapping.file(file, 0, 16 * PAGE, access);
                        ProcessMemoryReader reader = ProcessMemoryReader.open(Posix.host(),
                                ProcessHandle.current().pid(), layout, List.of(mapping.segment().address()))) {
                    List<Long> populated = new ArrayList<>();
                    reader.populated(0, layout.lengthBytes(),
                            (offset, length) -> populated.addAll(List.of(offset, length)));
                    assertThat(populated).as("%s", access).containsExactly(0L, layout.lengthBytes());
                }
            }
        }
    }

    @Test
    void onlyMemoryThatIsPrivateAndNoFilesInAllItsMappingsIsAnonymous() throws IOException {
        List<String> maps = List.of("10000-20000 rw-p 00000000 00:00 0 ", "20000-30000 r--p 00000000 00:00 0 [heap]",
                "30000-40000 rw-p 00000000 fe:00 17                         /var/ram",
                // The number of a segment of System V's, which may be 0, stands where that of a file would.
                "40000-50000 rw-s 00000000 00:01 0                          /SYSV00000000 (deleted)");
        assertThat(ProcessMemoryReader.isAnonymous(maps, 0x10000, 0x20000)).isTrue();
        assertThat(ProcessMemoryReader.isAnonymous(maps, 0x20000, 0x10001)).isFalse();
        assertThat(ProcessMemoryReader.isAnonymous(maps, 0x40000, 0x1000)).isFalse();
    }

    @Test
    void memoryThatTheProcessDoesNotHaveIsRefused() {
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, PAGE);
        assertThatThrownBy(() -> ProcessMemoryReader.open(
                Posix.host(), ProcessHandle.current().pid(), layout, List.of(PAGE * 2L)))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("0x2000");
        assertThatThrownBy(() -> ProcessMemoryReader.open(Posix.host(), Integer.MAX_VALUE, layout, List.of(0L)))
                .isInstanceOf(NoSuchFileException.class);
        assertThatThrownBy(() -> ProcessMemoryReader.open(Posix.host(), 1, layout, List.of()))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
