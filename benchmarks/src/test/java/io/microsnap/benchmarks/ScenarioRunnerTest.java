package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.TinyFileSystem;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ScenarioRunnerTest {

    private final List<String> calls = new ArrayList<>();

    @Test
    void bothSidesTakeTurnsAndTheirOutputsAreComparedAfterEveryPair() {
        Outcome outcome = new ScenarioRunner(1, 2).run(scenario(Target.none(), 10, 5, () -> calls.add("check")));

        assertThat(calls).containsExactly(
                "peer", "ours", "check", "ours", "peer", "check", "peer", "ours", "check", "closed");
        assertThat(outcome).isInstanceOfSatisfying(Outcome.Measured.class, measured -> assertThat(measured.pairs())
                .containsExactly(new Outcome.Pair(10, 5), new Outcome.Pair(10, 5)));
    }

    @Test
    void aScenarioWhoseOutputsDifferFailsAndStillCloses() {
        Outcome outcome = new ScenarioRunner(0, 1).run(scenario(Target.none(), 10, 5, () -> {
            throw new IllegalStateException("they differ");
        }));

        assertThat(outcome).isInstanceOfSatisfying(Outcome.Failed.class,
                failed -> assertThat(failed.cause()).hasMessage("they differ"));
        assertThat(calls).endsWith("closed");
    }

    @ParameterizedTest
    @CsvSource({"110, 100, MET", "114, 100, CLOSE", "120, 100, MISSED"})
    void timeIsJudgedAgainstThePeersTime(long ours, long peer, Target.Verdict verdict) {
        assertThat(verdictOf(Target.timeAtMost(1.10), ours, peer)).isEqualTo(verdict);
    }

    @ParameterizedTest
    @CsvSource({"100, 300, MET", "100, 290, CLOSE", "100, 280, MISSED"})
    void speedIsJudgedAgainstThePeersSpeed(long ours, long peer, Target.Verdict verdict) {
        assertThat(verdictOf(Target.speedAtLeast(3), ours, peer)).isEqualTo(verdict);
    }

    @Test
    void theRatioIsTheMedianOfThePairsSoThatDriftCancels() {
        Outcome.Measured drifting = new Outcome.Measured(scenario(Target.timeAtMost(1), 0, 0, () -> { }), List.of(
                new Outcome.Pair(100, 100), new Outcome.Pair(220, 200), new Outcome.Pair(360, 300)));
        assertThat(drifting.ratio()).isEqualTo(1.1);
        assertThat(drifting.lowestRatio()).isEqualTo(1.0);
        assertThat(drifting.highestRatio()).isEqualTo(1.2);
        assertThat(drifting.ours()).isEqualTo(220);
        assertThat(drifting.peer()).isEqualTo(200);
    }

    @Test
    void theSmallWriteScenarioRunsBesideItsPeerInC(CCompiler compiler, @TinyFileSystem Path mountingWorksHere) {
        Outcome outcome = new ScenarioRunner(0, 2).run(new SmallWriteScenario(1 << 20));
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        new Report(new PrintStream(text, true, StandardCharsets.UTF_8)).add(outcome);
        assertThat(text.toString(StandardCharsets.UTF_8)).contains("ours ", "peer ", "ratio ", "in 2 pairs");
    }

    @Test
    void everyScenarioHasANameOfItsOwn() {
        assertThat(Scenarios.all().stream().map(Scenario::name)).isNotEmpty().doesNotHaveDuplicates();
    }

    private Target.Verdict verdictOf(Target target, long ours, long peer) {
        Outcome outcome = new ScenarioRunner(0, 1).run(scenario(target, ours, peer, () -> { }));
        return ((Outcome.Measured) outcome).verdict();
    }

    private Scenario scenario(Target target, long ours, long peer, Duel.Action check) {
        return new Scenario() {
            @Override
            public String name() {
                return "example";
            }

            @Override
            public String question() {
                return "nothing";
            }

            @Override
            public Target target() {
                return target;
            }

            @Override
            public long workingSetBytes() {
                return 0;
            }

            @Override
            public Duel prepare(Workbench workbench) {
                workbench.closeLater(() -> calls.add("closed"));
                return new Duel(answering("ours", ours), answering("peer", peer), check);
            }
        };
    }

    private Contestant answering(String name, long nanoseconds) {
        return () -> {
            calls.add(name);
            return nanoseconds;
        };
    }
}
