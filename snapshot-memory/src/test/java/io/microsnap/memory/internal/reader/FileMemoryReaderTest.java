package io.microsnap.memory.internal.reader;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

final class FileMemoryReaderTest {
    private static final int PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 256 * PAGE);

    private final FaultyPosix counting = FaultyPosix.host();
    private final Constants constants = Posix.host().constants();

    @RealFileSystems
    void whatIsPopulatedIsWhereTheFileHasData(Path directory) throws IOException {
        try (Descriptor file = sparse(directory)) {
            FileMemoryReader reader = FileMemoryReader.of(file, LAYOUT);
            assertThat(populated(reader, 0, 256)).containsExactly("32+64", "128+1");
            assertThat(populated(reader, 40, 10)).containsExactly("40+10");
            assertThat(populated(reader, 90, 20)).containsExactly("90+6");
            assertThat(populated(reader, 0, 40)).containsExactly("32+8");
            assertThat(populated(reader, 96, 32)).isEmpty();
            assertThat(populated(reader, 129, 127)).isEmpty();
        }
    }

    @RealFileSystems
    void whatWasPopulatedMeanwhileIsSeen(Path directory) throws IOException {
        try (Descriptor file = sparse(directory)) {
            FileMemoryReader reader = FileMemoryReader.of(file, LAYOUT);
            assertThat(populated(reader, 200, 16)).isEmpty();
            write(file, 200, 16);
            assertThat(populated(reader, 200, 16)).containsExactly("200+16");
        }
    }

    @RealFileSystems
    void manyRunsInOneRangeOfDataAreAskedForOnce(Path directory) throws IOException {
        try (Descriptor file = sparse(directory)) {
            FileMemoryReader reader = FileMemoryReader.of(file, LAYOUT);
            for (int page = 32; page < 96; page += 2) {
                assertThat(populated(reader, page, 1)).containsExactly(page + "+1");
            }
            assertThat(counting.calls("lseek")).isEqualTo(2);
        }
    }

    @RealFileSystems
    void aFileOfAnotherLengthIsRefusedWithBoth(Path directory) throws IOException {
        try (Descriptor file = sparse(directory)) {
            assertThatThrownBy(() -> FileMemoryReader.of(file, GuestLayout.ofSingleRegion(PAGE, 255 * PAGE)))
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("1048576")
                    .hasMessageContaining("1044480");
        }
    }

    @RealFileSystems
    void aFileThatWasTruncatedIsAnErrorAndNotZeros(Path directory) throws IOException {
        try (Descriptor file = sparse(directory)) {
            FileMemoryReader reader = FileMemoryReader.of(file, LAYOUT);
            file.truncate(100 * PAGE);
            assertThatThrownBy(() -> populated(reader, 128, 1)).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("ram").hasMessageContaining("truncated").hasMessageContaining("409600");
        }
    }

    /** Pages 32 to 95 and page 128 have data. */
    private Descriptor sparse(Path directory) throws IOException {
        Descriptor file = Descriptor.open(
                counting.posix(), directory.resolve("ram"), constants.O_RDWR | constants.O_CREAT, 0600);
        file.truncate(LAYOUT.lengthBytes());
        write(file, 32, 64);
        write(file, 128, 1);
        file.sync();
        return file;
    }

    private static void write(Descriptor file, long page, long count) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(count * PAGE).fill((byte) 1);
            file.writeFully(bytes, page * PAGE);
        }
    }

    private static List<String> populated(FileMemoryReader reader, long page, long count) throws IOException {
        List<String> pages = new ArrayList<>();
        reader.populated(page * PAGE, count * PAGE, (offset, length) -> pages.add(offset / PAGE + "+" + length / PAGE));
        return pages;
    }
}
