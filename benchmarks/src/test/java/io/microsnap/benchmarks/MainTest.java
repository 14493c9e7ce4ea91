package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class MainTest {
    private final StringWriter said = new StringWriter();

    @Test
    void anUnknownNameIsRefusedAndNotTakenForSuccess() {
        assertThat(run("^no-row$")).isEqualTo(2);
        assertThat(said.toString()).startsWith(
                "no family is called ^no-row$, and it is found in no row's name; --list names them all");
    }

    @Test
    void aBrokenOldRunIsRefusedBeforeAnythingIsMeasured(@TempDir Path directory) throws Exception {
        Path broken = Files.writeString(directory.resolve("old.json"), "{\"format\": 1, \"pairs\":");
        assertThat(run("small-write", "--compare", broken.toString())).isEqualTo(2);
        assertThat(said.toString()).startsWith("the old run cannot be read: " + broken + ", line 1, column ");
        assertThat(run("small-write", "--compare", directory.resolve("none.json").toString())).isEqualTo(2);
        assertThat(said.toString()).contains("none.json does not exist");
        assertThat(run("report", broken.toString())).isEqualTo(2);
    }

    @Test
    void whatCannotBeWrittenLaterIsRefusedBeforeAnythingIsMeasured(@TempDir Path directory) {
        assertThat(run("small-write", "--json", directory.resolve("none/run.json").toString())).isEqualTo(2);
        assertThat(run("small-write", "--html", directory.toString())).isEqualTo(2);
        assertThat(said.toString()).contains("cannot be written: name a file in a directory that is yours");
    }

    @Test
    void pairsHaveBounds() {
        assertThat(run("small-write", "--pairs", "-1")).isEqualTo(2);
        assertThat(run("small-write", "--pairs", "1001")).isEqualTo(2);
    }

    @Test
    void aStoredRunIsShownAsPageTablesAndImagesAndNothingIsLeftBeside(@TempDir Path directory) throws Exception {
        Path json = Files.write(directory.resolve("run.json"), RunFile.write(RunsForTests.charted()));
        assertThat(run("report", json.toString(), "--markdown", "--html", directory.resolve("run.html").toString(),
                "--charts", directory.resolve("charts").toString())).isZero();
        assertThat(names(directory)).containsExactlyInAnyOrder("charts", "run.html", "run.json");
        assertThat(names(directory.resolve("charts"))).containsExactlyInAnyOrder("restore-cold.svg",
                "restore-warm.svg", "capture.svg", "page-cache.svg");
    }

    @Test
    void aRowIsMeasuredByItsWholeNameInAJvmOfItsOwn() throws Exception {
        // A part of many names, and of none the whole.
        assertThat(OwnJvm.run(Main.class, "one", "--pairs", "1", "kvm-harvest").status()).isEqualTo(2);
    }

    @Test
    void theWorstThatHappenedIsTheStatus() {
        Row met = RunsForTests.row("f", "met", Target.timeAtMost(2), 1000);
        Row missed = RunsForTests.row("f", "missed", Target.timeAtMost(0.5), 1000);
        Row failed = new Row("f", "failed", "", Unit.NANOSECONDS, Target.none(), new Outcome.Failed("broken"));
        Comparison.Finding finding = new Comparison.Finding("missed", 1, 2);
        assertThat(Main.status(RunsForTests.run(met), List.of())).isZero();
        assertThat(Main.status(RunsForTests.run(met, missed), List.of())).isEqualTo(4);
        assertThat(Main.status(RunsForTests.run(met, missed), List.of(finding))).isEqualTo(5);
        assertThat(Main.status(RunsForTests.run(met, missed, failed), List.of(finding))).isEqualTo(1);
    }

    @Test
    void aTableTellsWhatWasMissedAndWhatTheFirstRunInAJvmTook() {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        TextReport report = new TextReport(new PrintStream(text, true, StandardCharsets.UTF_8));
        Row missed = RunsForTests.row("f", "f/slow", Target.timeAtMost(0.5), 900, 1000, 1300);
        report.row(missed);
        report.summary(RunsForTests.run(missed));
        assertThat(text.toString(StandardCharsets.UTF_8)).containsPattern(
                "f/slow +1.00 µs ±30 % +1.00 µs ±0 % +1.000 \\(0.90 to 1.30\\) +time ≤ 0.50 × +MISSED")
                .contains("first in a JVM: 9.00 µs, peer 1.00 µs", "pause 400 ns; major faults 12 (peer 13)",
                        "missed: f/slow");
    }

    private int run(String... arguments) {
        CommandLine command = Main.commandLine().setErr(new PrintWriter(said));
        return command.execute(arguments);
    }

    private static List<String> names(Path directory) throws Exception {
        try (Stream<Path> files = Files.list(directory)) {
            return files.map(file -> file.getFileName().toString()).toList();
        }
    }
}
