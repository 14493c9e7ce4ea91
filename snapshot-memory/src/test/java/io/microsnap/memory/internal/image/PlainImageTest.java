package io.microsnap.memory.internal.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.memory.MemoryWritten;
import io.microsnap.memory.SparseReader;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.TinyFileSystem;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import org.junit.jupiter.api.Test;

/** An image with neither index nor map, as other VMMs read it. */
final class PlainImageTest {
    private static final int PAGE = 16 << 10;
    private static final int BLOCK = 2 << 20;

    @RealFileSystems
    void aFullFileIsTheGuestByteForByte(Path on) throws IOException {
        InMemoryPageReader guest = guest(64 << 10);
        for (Zeros zeros : new Zeros[] {Zeros.DENSE, Zeros.SPARSE, Zeros.SPARSEST}) {
            Path file = on.resolve("x.mem");
            try (Descriptor image = image(file, guest)) {
                MemoryWriter.into(image, guest.layout()).zeros(zeros).startingAsZeros().everything(guest);
            }
            assertThat(Files.readAllBytes(file)).isEqualTo(bytes(guest));
        }
    }

    @RealFileSystems
    void aDiffHasTheDirtyPagesAtTheirPlacesAndZerosElsewhere(Path on) throws IOException {
        InMemoryPageReader guest = guest(64 << 10);
        DirtyBitmap dirty = DirtyBitmap.of(guest.layout());
        dirty.set(PAGE);
        dirty.set(3L * PAGE);
        Path file = on.resolve("x.mem");

        assertThat(diff(guest, dirty, file).pagesRecorded()).isEqualTo(2);

        byte[] expected = bytes(guest);
        Arrays.fill(expected, 0, PAGE, (byte) 0);
        Arrays.fill(expected, 2 * PAGE, 3 * PAGE, (byte) 0);
        assertThat(Files.readAllBytes(file)).isEqualTo(expected);
        assertThat(dirty.count()).as("bits are looked at, not taken").isEqualTo(2);
    }

    /** Nothing but its data tells which pages a plain file has. */
    @RealFileSystems
    void inADenseDiffADirtyPageOfZerosIsData(Path on) throws IOException {
        InMemoryPageReader guest = guest(64 * PAGE);
        guest.bytes().asSlice(16L * PAGE, 16L * PAGE).fill((byte) 0);
        BitSet populated = new BitSet();
        populated.set(0, 24);
        DirtyBitmap dirty = DirtyBitmap.of(guest.layout());
        dirty.mark(16L * PAGE, 17L * PAGE);
        List<Long> data = new ArrayList<>();
        try (Descriptor image = image(on.resolve("x.mem"), guest)) {
            MemoryWriter.into(image, guest.layout()).zeros(Zeros.DENSE).startingAsZeros()
                    .dirty(new SparseReader(guest, populated, true), dirty);
            image.sync();
            Extents.data(image, 0, 64L * PAGE, (offset, lengthBytes) -> {
                data.add(offset);
                data.add(lengthBytes);
            });
        }
        assertThat(data).containsExactly(16L * PAGE, 17L * PAGE);
    }

    @RealFileSystems
    void aBitmapOfLargeBlocksWritesEveryPageOfABlock(Path on) throws IOException {
        InMemoryPageReader guest = guest(2 * BLOCK);
        DirtyBitmap dirty = DirtyBitmap.of(guest.layout(), BLOCK);
        dirty.set(BLOCK);
        Path file = on.resolve("x.mem");

        assertThat(diff(guest, dirty, file).pagesRecorded()).isEqualTo(BLOCK / PAGE);

        byte[] expected = bytes(guest);
        Arrays.fill(expected, 0, BLOCK, (byte) 0);
        assertThat(Files.readAllBytes(file)).isEqualTo(expected);
    }

    @Test
    void aNearlyFullDiskIsAFailureThatNamesTheFile(@TinyFileSystem Path tiny) throws IOException {
        InMemoryPageReader guest = guest(24 << 20);
        try (Descriptor image = image(tiny.resolve("x.mem"), guest)) {
            MemoryWriter writer = MemoryWriter.into(image, guest.layout()).zeros(Zeros.DENSE).startingAsZeros();
            assertThatThrownBy(() -> writer.everything(guest)).isInstanceOf(IOException.class)
                    .hasMessageContaining("ENOSPC").hasMessageContaining("x.mem");
        }
    }

    private static MemoryWritten diff(InMemoryPageReader guest, DirtyBitmap dirty, Path file) throws IOException {
        try (Descriptor image = image(file, guest)) {
            return MemoryWriter.into(image, guest.layout()).startingAsZeros().dirty(guest, dirty);
        }
    }

    private static Descriptor image(Path file, InMemoryPageReader guest) throws IOException {
        Constants c = Posix.host().constants();
        Descriptor image = Descriptor.open(Posix.host(), file, c.O_RDWR | c.O_CREAT | c.O_TRUNC, 0600);
        image.truncate(guest.layout().lengthBytes());
        return image;
    }

    private static InMemoryPageReader guest(int lengthBytes) {
        InMemoryPageReader guest = InMemoryPageReader.of(GuestLayout.ofSingleRegion(PAGE, lengthBytes));
        for (int at = 0; at < lengthBytes; at++) {
            guest.bytes().set(ValueLayout.JAVA_BYTE, at, (byte) at);
        }
        return guest;
    }

    private static byte[] bytes(InMemoryPageReader guest) {
        return guest.bytes().toArray(ValueLayout.JAVA_BYTE);
    }
}
