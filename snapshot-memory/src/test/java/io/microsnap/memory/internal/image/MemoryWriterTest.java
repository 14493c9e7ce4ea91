package io.microsnap.memory.internal.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.Extents;
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
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class MemoryWriterTest {
    private static final int PAGE = 16 << 10;
    private static final int BLOCK = 2 << 20;

    @RealFileSystems
    void aFullFileIsTheGuestByteForByte(Path on) throws IOException {
        InMemoryPageReader guest = guest(64 << 10);
        for (Zeros zeros : new Zeros[] {Zeros.DENSE, Zeros.SPARSE, Zeros.SPARSEST}) {
            Path file = on.resolve("x.mem");
            try (MemoryWriter writer = MemoryWriter.create(Posix.host(), file, guest.layout(), zeros)) {
                writer.writeFull(guest);
                writer.commit(Durability.FULL);
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
    void inADiffADirtyPageOfZerosIsDataWhateverIsMadeOfZeros(Path on) throws IOException {
        InMemoryPageReader guest = guest(64 * PAGE);
        guest.bytes().asSlice(16L * PAGE, 16L * PAGE).fill((byte) 0);
        BitSet populated = new BitSet();
        populated.set(0, 24);
        DirtyBitmap dirty = DirtyBitmap.of(guest.layout());
        dirty.mark(16L * PAGE, 17L * PAGE);
        for (Zeros zeros : new Zeros[] {Zeros.DENSE, Zeros.SPARSE, Zeros.SPARSEST}) {
            Path file = on.resolve("x.mem");
            try (MemoryWriter writer = MemoryWriter.create(Posix.host(), file, guest.layout(), zeros)) {
                writer.writeDiff(new SparseReader(guest, populated, true), dirty);
                writer.commit(Durability.FULL);
            }
            List<Long> data = new ArrayList<>();
            try (Descriptor written = Descriptor.open(
                    Posix.host(), file, Posix.host().constants().O_RDONLY, 0)) {
                Extents.data(written, 0, 64L * PAGE, (offset, lengthBytes) -> {
                    data.add(offset);
                    data.add(lengthBytes);
                });
            }
            assertThat(data).as("%s", zeros).containsExactly(16L * PAGE, 17L * PAGE);
        }
    }

    @Test
    void aWriterWritesOnceAndCommitsOnceWhatItWroteWhole(@TempDir Path directory) throws IOException {
        InMemoryPageReader guest = guest(64 << 10);
        DirtyBitmap dirty = DirtyBitmap.of(guest.layout());
        Path file = directory.resolve("x.mem");
        try (MemoryWriter writer = MemoryWriter.create(Posix.host(), file, guest.layout(), Zeros.SPARSE)) {
            assertMisuse(() -> writer.commit(Durability.NONE), "nothing was written");
            writer.writeFull(guest);
            assertMisuse(() -> writer.writeFull(guest), "writes once");
            assertMisuse(() -> writer.writeDiff(guest, dirty), "writes once");
            writer.commit(Durability.NONE);
            assertMisuse(() -> writer.writeFull(guest), "writes once");
            assertMisuse(() -> writer.writeDiff(guest, dirty), "writes once");
            assertMisuse(() -> writer.commit(Durability.NONE), "committed already");
        }
        assertThat(Files.readAllBytes(file)).isEqualTo(bytes(guest));
        InMemoryPageReader other = InMemoryPageReader.of(GuestLayout.ofSingleRegion(PAGE, PAGE));
        try (MemoryWriter writer = MemoryWriter.create(Posix.host(), file, guest.layout(), Zeros.SPARSE)) {
            assertThatThrownBy(() -> writer.writeFull(other)).isInstanceOf(IllegalArgumentException.class);
            assertMisuse(() -> writer.writeFull(guest), "writes once");
            assertMisuse(() -> writer.commit(Durability.NONE), "the writing failed");
        }
        assertThat(Files.readAllBytes(file)).isEqualTo(bytes(guest));
    }

    private static void assertMisuse(ThrowingCallable call, String message) {
        assertThatThrownBy(call).isInstanceOf(IllegalStateException.class).hasMessageContaining(message);
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

    @RealFileSystems
    void anEarlierFileStaysUntilTheNewOneIsCommitted(Path on) throws IOException {
        InMemoryPageReader guest = guest(64 << 10);
        Path file = Files.writeString(on.resolve("x.mem"), "the earlier one");
        try (MemoryWriter writer = MemoryWriter.create(Posix.host(), file, guest.layout(), Zeros.SPARSE)) {
            writer.writeFull(guest);
            assertThat(file).hasContent("the earlier one");
        }
        assertThat(file).hasContent("the earlier one");
        assertThat(on).isDirectoryNotContaining("glob:**.staged");
    }

    @RealFileSystems
    void twoWritersOfOneFileDoNotDisturbEachOther(Path on) throws IOException {
        InMemoryPageReader first = guest(64 << 10);
        InMemoryPageReader second = guest(64 << 10);
        second.bytes().fill((byte) 2);
        Path file = on.resolve("x.mem");
        try (MemoryWriter one = MemoryWriter.create(Posix.host(), file, first.layout(), Zeros.SPARSE);
                MemoryWriter other = MemoryWriter.create(Posix.host(), file, second.layout(), Zeros.SPARSE)) {
            one.writeFull(first);
            other.writeFull(second);
            one.commit(Durability.DATA);
            assertThat(Files.readAllBytes(file)).isEqualTo(bytes(first));
            other.commit(Durability.DATA);
        }
        assertThat(Files.readAllBytes(file)).isEqualTo(bytes(second));
    }

    @Test
    void aNearlyFullDiskIsAFailureAndLeavesTheEarlierFileWhole(@TinyFileSystem Path tiny) throws IOException {
        InMemoryPageReader guest = guest(24 << 20);
        Path file = Files.writeString(tiny.resolve("x.mem"), "the earlier one");
        try (MemoryWriter writer = MemoryWriter.create(Posix.host(), file, guest.layout(), Zeros.DENSE)) {
            assertThatThrownBy(() -> writer.writeFull(guest)).isInstanceOf(IOException.class)
                    .hasMessageContaining("ENOSPC").hasMessageContaining("x.mem");
        }
        assertThat(file).hasContent("the earlier one");
    }

    private static MemoryWritten diff(InMemoryPageReader guest, DirtyBitmap dirty, Path file) throws IOException {
        try (MemoryWriter writer = MemoryWriter.create(Posix.host(), file, guest.layout(), Zeros.SPARSE)) {
            MemoryWritten written = writer.writeDiff(guest, dirty);
            writer.commit(Durability.FULL);
            return written;
        }
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
