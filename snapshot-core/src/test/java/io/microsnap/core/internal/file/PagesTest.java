package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.HugePages;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Random;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PagesTest {
    private static final long SEED = 0x5eed;

    @ParameterizedTest
    @ValueSource(longs = {1, 7, 8, 9, 1023, 1024, 1025, 4096, 16384, 65536, 65543})
    void aSingleBitAnywhereMakesARangeNeitherZeroNorEqual(long length) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(length + 6);
            MemorySegment zeros = arena.allocate(length + 6);
            assertThat(Pages.isZero(memory, 3, length)).isTrue();
            assertThat(Pages.equal(memory, 3, zeros, 1, length)).isTrue();
            for (long at = 0; at < length; at += length < 2000 ? 1 : 61) {
                memory.set(ValueLayout.JAVA_BYTE, 3 + at, (byte) 0x80);
                assertThat(Pages.isZero(memory, 3, length)).as("bit at %d of %d", at, length).isFalse();
                assertThat(Pages.equal(memory, 3, zeros, 1, length)).as("bit at %d of %d", at, length).isFalse();
                memory.set(ValueLayout.JAVA_BYTE, 3 + at, (byte) 0);
            }
        }
    }

    @Test
    void everyPageOfARangeHasTheChecksumThatItHasAlone() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(10 * 4096);
            byte[] noise = new byte[(int) memory.byteSize()];
            new Random(SEED).nextBytes(noise);
            memory.copyFrom(MemorySegment.ofArray(noise));
            int[] checksums = new int[5];
            Pages.crc32cs(memory, 1000, 3 * 4096 + 17, 4096, checksums);
            for (int page = 0; page < 4; page++) {
                assertThat(checksums[page]).as("page %d", page)
                        .isEqualTo(Pages.crc32c(memory, 1000 + page * 4096, page < 3 ? 4096 : 17));
            }
            assertThat(checksums[4]).isZero();
        }
    }

    @Test
    void bytesOutsideTheRangeDoNotCount() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(4096 + 16).fill((byte) 1);
            memory.asSlice(8, 4096).fill((byte) 0);
            MemorySegment other = arena.allocate(4096 + 16).fill((byte) 2);
            other.asSlice(8, 4096).fill((byte) 0);
            assertThat(Pages.isZero(memory, 8, 4096)).isTrue();
            assertThat(Pages.isZero(memory, 7, 4096)).isFalse();
            assertThat(Pages.isZero(memory, 9, 4096)).isFalse();
            assertThat(Pages.equal(memory, 8, other, 8, 4096)).isTrue();
            assertThat(Pages.equal(memory, 7, other, 7, 4096)).isFalse();
            assertThat(Pages.isZero(memory, 0, 0)).isTrue();
        }
    }

    @Test
    void equalAnswersAsAComparisonByteByByteDoes() {
        Random random = new Random(SEED);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment left = arena.allocate(20000);
            MemorySegment right = arena.allocate(20000);
            for (int round = 0; round < 2000; round++) {
                long length = random.nextInt(9000);
                long leftAt = random.nextInt(9000);
                long rightAt = random.nextInt(9000);
                for (long at = 0; at < length; at += 8 + random.nextInt(2000)) {
                    byte value = (byte) random.nextInt();
                    left.set(ValueLayout.JAVA_BYTE, leftAt + at, value);
                    right.set(ValueLayout.JAVA_BYTE, rightAt + at, value);
                }
                if (random.nextBoolean()) {
                    MemorySegment.copy(left, leftAt, right, rightAt, length);
                }
                boolean expected = MemorySegment.mismatch(left, leftAt, leftAt + length, right, rightAt,
                        rightAt + length) < 0;
                assertThat(Pages.equal(left, leftAt, right, rightAt, length))
                        .as("seed %x, round %d", SEED, round).isEqualTo(expected);
            }
        }
    }

    @Test
    void theChecksumIsCrc32c() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment check = arena.allocateFrom("123456789");
            assertThat(Pages.crc32c(check, 0, 9)).as("the catalogue's check value").isEqualTo(0xE3069283);
            byte[] bytes = new byte[1_000_003];
            new Random(SEED).nextBytes(bytes);
            MemorySegment memory = arena.allocate(bytes.length);
            memory.copyFrom(MemorySegment.ofArray(bytes));
            CRC32C expected = new CRC32C();
            expected.update(bytes, 5, bytes.length - 5);
            assertThat(Pages.crc32c(memory, 5, bytes.length - 5)).isEqualTo((int) expected.getValue());
        }
    }

    @Test
    void aRangeOutsideTheMemoryIsRefused() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(4096);
            assertThatThrownBy(() -> Pages.isZero(memory, 1, 4096)).isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> Pages.isZero(memory, -1, 1)).isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> Pages.equal(memory, 0, memory, 8, 4096))
                    .isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> Pages.equal(memory, 8, memory, 0, 4096))
                    .isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> Pages.crc32c(memory, 0, Long.MAX_VALUE))
                    .isInstanceOf(IndexOutOfBoundsException.class);
        }
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void aFileTruncatedUnderItsMappingIsAnExceptionAndNoCrash(@TempDir Path directory) throws IOException {
        Posix posix = Posix.host();
        try (Descriptor file = Descriptor.open(posix, directory.resolve("image"),
                posix.constants().O_RDWR | posix.constants().O_CREAT, 0600)) {
            file.truncate(1 << 20);
            try (Mapping mapping = Mapping.file(file, 0, 1 << 20, Access.SHARED_READ);
                    Mapping other = Mapping.anonymous(posix, 1 << 20, HugePages.NONE)) {
                file.truncate(4096);
                MemorySegment memory = mapping.segment();
                assertThatThrownBy(() -> Pages.isZero(memory, 0, 1 << 20)).isInstanceOf(InternalError.class);
                assertThatThrownBy(() -> Pages.equal(other.segment(), 0, memory, 0, 1 << 20))
                        .isInstanceOf(InternalError.class);
            }
        }
    }

    @Test
    void heapMemoryIsFineToo() {
        byte[] bytes = "microsnap".getBytes(StandardCharsets.US_ASCII);
        assertThat(Pages.equal(MemorySegment.ofArray(bytes), 0, MemorySegment.ofArray(bytes.clone()), 0, 9)).isTrue();
    }
}
