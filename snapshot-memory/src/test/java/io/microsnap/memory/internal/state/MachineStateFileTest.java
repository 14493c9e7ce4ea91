package io.microsnap.memory.internal.state;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class MachineStateFileTest {
    private static final Posix POSIX = Posix.host();
    private static final Constants C = POSIX.constants();

    @TempDir
    private Path directory;

    @Test
    void readsTheSectionsThatWereWrittenInTheirOrder() throws IOException {
        List<MachineStateSection> sections = List.of(
                section("vcpu0.registers", bytes(560)), section("clock", bytes(8)),
                section("vcpu1.registers", bytes(560)), section("empty", new byte[0]));

        Path file = written(sections);

        assertThat(read(file)).isEqualTo(sections);
    }

    @Test
    void aMachineMayHaveNoStateAtAll() throws IOException {
        assertThat(read(written(List.of()))).isEmpty();
    }

    @Test
    void theSameSectionsAlwaysGiveTheSameBytes() throws IOException {
        Path file = written(List.of(section("clock", "tick".getBytes(StandardCharsets.US_ASCII))));

        assertThat(Files.readAllBytes(file)).asHexString().isEqualTo(""
                + "534E415053544154" // SNAPSTAT
                + "01000000"
                + "01000000"
                + "05" + "636C6F636B" + "0400000000000000" + "D5E2A751"
                + "766FB2F9"
                + "7469636B");
    }

    @Test
    void theHexDumpHoldsTheFilesBytesAndSaysWhatTheyAre() throws IOException {
        List<MachineStateSection> sections = List.of(section("clock", "tick".getBytes(StandardCharsets.US_ASCII)));

        String dump = MachineStateFile.hexDump(sections);

        StringBuilder digits = new StringBuilder();
        dump.lines().forEach(line -> digits.append(line.split("#", -1)[0].replace(" ", "")));
        assertThat(digits.toString().toUpperCase(java.util.Locale.ROOT))
                .isEqualTo(java.util.HexFormat.of().withUpperCase().formatHex(Files.readAllBytes(written(sections))));
        assertThat(dump)
                .contains("# magic", "# name clock", "# length of payload: 4", "# checksum of header", "# clock");
    }

    @Test
    void refusesEveryFileOfWhichAByteIsAnother(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        Path file = written(List.of(section("a", bytes(100)), section("b", bytes(1)), section("c", bytes(300))));
        byte[] whole = Files.readAllBytes(file);
        for (int index = 0; index < whole.length; index++) {
            byte[] damaged = whole.clone();
            damaged[index] ^= (byte) (1 << random.nextInt(8));
            Files.write(file, damaged);
            assertThatThrownBy(() -> read(file)).as("byte %d", index)
                    .isInstanceOf(DamagedException.class).hasMessageContaining(file.toString());
        }
    }

    @Test
    void refusesEveryFileThatIsShorterOrLonger() throws IOException {
        Path file = written(List.of(section("a", bytes(100)), section("b", bytes(30))));
        byte[] whole = Files.readAllBytes(file);
        for (int length = 0; length < whole.length; length++) {
            Files.write(file, java.util.Arrays.copyOf(whole, length));
            assertThatThrownBy(() -> read(file)).as("%d bytes", length).isInstanceOf(DamagedException.class);
        }
        Files.write(file, java.util.Arrays.copyOf(whole, whole.length + 1));
        assertThatThrownBy(() -> read(file)).isInstanceOf(DamagedException.class).hasMessageContaining("follow");
    }

    @Test
    void refusesASecondSectionOfTheSameNameAndMoreThanAFileHolds() throws IOException {
        assertThatThrownBy(() -> written(List.of(section("a", bytes(1)), section("a", bytes(2)))))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("named a");
        List<MachineStateSection> many = IntStream.rangeClosed(0, MachineStateFile.MOST_SECTIONS)
                .mapToObj(number -> section("s" + number, bytes(1))).toList();
        assertThatThrownBy(() -> written(many)).isInstanceOf(IllegalArgumentException.class);
        assertThat(read(written(many.subList(1, many.size())))).hasSize(MachineStateFile.MOST_SECTIONS);
    }

    @Test
    void refusesAFileThatNamesASectionTwice() throws IOException {
        Path file = written(List.of(section("cpu0", bytes(8)), section("cpu1", bytes(8))));
        byte[] bytes = Files.readAllBytes(file);
        ByteBuffer content = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        int headerBytes = 8 + 4 + 4 + 2 * (1 + 4 + 8 + 4);
        content.put(headerBytes - (8 + 4) - 1, (byte) '0');
        CRC32C checksum = new CRC32C();
        checksum.update(content.slice(0, headerBytes));
        content.putInt(headerBytes, (int) checksum.getValue());
        Files.write(file, bytes);

        assertThatThrownBy(() -> read(file)).isInstanceOf(DamagedException.class)
                .hasMessageContaining("two sections").hasMessageContaining("cpu0");
    }

    @Test
    void refusesAFileLargerThanAnyMachinesState() throws IOException {
        Path file = directory.resolve("large");
        try (Descriptor large = Descriptor.open(POSIX, file, C.O_RDWR | C.O_CREAT, 0600)) {
            large.truncate(MachineStateFile.LARGEST_FILE_BYTES + 1);
            assertThatThrownBy(() -> MachineStateFile.read(large)).isInstanceOf(DamagedException.class);
        }
    }

    @Test
    void whatItReadsFromNoiseIsDamageAndNothingElse(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        byte[] whole = Files.readAllBytes(written(List.of(section("a", bytes(64)), section("bc", bytes(5)))));
        Path file = directory.resolve("noise");
        for (int round = 0; round < 2_000; round++) {
            byte[] noise = java.util.Arrays.copyOf(whole, random.nextInt(1, 2 * whole.length));
            for (int change = random.nextInt(1, 9); change > 0; change--) {
                noise[random.nextInt(noise.length)] = (byte) random.nextInt();
            }
            Files.write(file, noise);
            try {
                read(file);
            } catch (DamagedException expected) {
                continue;
            }
            // A change that changes nothing.
            assertThat(noise).isEqualTo(whole);
        }
    }

    private List<MachineStateSection> read(Path file) throws IOException {
        try (Descriptor open = Descriptor.open(POSIX, file, C.O_RDONLY, 0)) {
            return MachineStateFile.read(open);
        }
    }

    private Path written(List<MachineStateSection> sections) throws IOException {
        Path file = directory.resolve("machine-" + sections.hashCode() + ".bin");
        try (Descriptor open = Descriptor.open(POSIX, file, C.O_RDWR | C.O_CREAT | C.O_TRUNC, 0600)) {
            MachineStateFile.write(sections, open);
        }
        return file;
    }

    private static MachineStateSection section(String name, byte[] payload) {
        return new MachineStateSection(name, ByteBuffer.wrap(payload));
    }

    private static byte[] bytes(int count) {
        byte[] bytes = new byte[count];
        new SplittableRandom(count).nextBytes(bytes);
        return bytes;
    }

    @Test
    void aStateOfExactlyTheLimitIsWrittenAndOneByteMoreRefused() throws IOException {
        for (int more = 0; more < 2; more++) {
            int size = Math.toIntExact(MachineStateFile.LARGEST_STATE_BYTES + more);
            List<MachineStateSection> sections =
                    List.of(new MachineStateSection("state", ByteBuffer.allocateDirect(size)));
            if (more == 0) {
                MachineStateFile.check(sections);
            } else {
                assertThatIllegalArgumentException().isThrownBy(() -> MachineStateFile.check(sections))
                        .withMessageContaining(Integer.toString(size));
            }
        }
    }
}
