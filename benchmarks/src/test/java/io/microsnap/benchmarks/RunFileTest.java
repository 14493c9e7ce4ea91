package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class RunFileTest {
    private static final String NAME = "old.json";

    @Test
    void whatIsWrittenIsReadAgain() throws Exception {
        Run run = RunsForTests.charted();
        assertThat(RunFile.readRun(NAME, RunFile.write(run))).isEqualTo(run);
        for (Row row : run.rows()) {
            assertThat(RunFile.readRow(NAME, RunFile.write(row))).isEqualTo(row);
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "\"format\" : 1|\"format\" : 2",
        "\"format\" : 1|\"format\" : 1, \"more\" : 1",
        "\"pairs\" : 3|\"pairs\" : 0",
        "\"pairs\" : 3|\"pairs\" : 3.5",
        "\"processors\" : 2|\"processors\" : -2",
        "\"unit\" : \"NANOSECONDS\"|\"unit\" : \"PARSECS\"",
        "\"target\" : \"none\"|\"target\" : \"time NaN\"",
        "\"verdict\" : \"REPORTED\"|\"verdict\" : \"LEFT_OUT\"",
        "[ 1000, 1000 ]|[ 1000, 1000, 1000 ]",
        "[ 1000, 1000 ]|[ 1000 ]",
        "[ 1000, 1000 ]|[ -1000, 1000 ]",
        "\"started\" : \"2026-11-30T20:00:00Z\"|\"started\" : \"yesterday\"",
        "\"started\" : \"2026-11-30T20:00:00Z\",|''",
        "\"name\" : \"one\"|\"name\" : \"two\""})
    void whatDiffersFromThatIsRefused(String written, String instead) {
        String document = new String(RunFile.write(RunsForTests.run(RunsForTests.row("one", 1000),
                RunsForTests.row("two", 1000))), StandardCharsets.UTF_8);
        assertThat(document).contains(written);
        byte[] changed = document.replace(written, instead).getBytes(StandardCharsets.UTF_8);
        assertThatThrownBy(() -> RunFile.readRun(NAME, changed))
                .isInstanceOf(DamagedException.class);
    }

    @Test
    void aFileThatIsTooLargeIsNotReadIntoMemory(@TempDir Path directory) throws Exception {
        Path large = directory.resolve("large.json");
        try (RandomAccessFile file = new RandomAccessFile(large.toFile(), "rw")) {
            file.setLength(1L << 40);
        }
        assertThatThrownBy(() -> RunFile.read(large)).isInstanceOf(DamagedException.class)
                .hasMessageContaining("is larger than");
    }

    @Test
    void damageIsRefusedOrReadAsAnotherRunButNeverAnythingElse(Seed seed) {
        Random random = new Random(seed.random().nextLong());
        byte[] whole = RunFile.write(RunsForTests.run(RunsForTests.row("one", 1000), RunsForTests.row("two", 2000)));
        int refused = 0;
        int times = Effort.choose(300, 2000, 20_000);
        for (int time = 0; time < times; time++) {
            byte[] damaged = whole.clone();
            for (int change = random.nextInt(3); change >= 0; change--) {
                damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(128);
            }
            try {
                Run read = RunFile.readRun(NAME, damaged);
                assertThat(RunFile.readRun(NAME, RunFile.write(read))).isEqualTo(read);
            } catch (DamagedException expected) {
                refused++;
            }
        }
        assertThat(refused).isPositive();
    }

    @Test
    void aRowThatIsMeasuredHasPairs() {
        byte[] row = """
                {"family":"f","name":"n","question":"q","unit":"BYTES","target":"none","verdict":"MET",
                 "first":[1,1],"pairs":[],"readings":[]}""".getBytes(StandardCharsets.UTF_8);
        assertThatThrownBy(() -> RunFile.readRow(NAME, row)).isInstanceOf(DamagedException.class)
                .hasMessage("old.json: the row n is MET and lacks what belongs to that");
    }
}
