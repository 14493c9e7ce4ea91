package io.microsnap.memory.reader;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.posix.Posix;
import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

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
            assertThat(populated).hasSize(32).allMatch(page -> page % 8 == 0);
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
