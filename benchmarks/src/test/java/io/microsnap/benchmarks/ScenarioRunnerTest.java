package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.TinyFileSystem;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ScenarioRunnerTest {

    private final List<String> calls = new ArrayList<>();

    @Test
    void theFirstPairComesBeforeTheWarmUpAndBothSidesTakeTurnsAfterIt() {
        Outcome outcome = new ScenarioRunner(false, 2).run(scenario(10, 5, () -> calls.add("check")));

        assertThat(calls).containsExactly("ours", "peer", "check", "warm up",
                "ours", "peer", "check", "peer", "ours", "check", "closed");
        assertThat(outcome).isInstanceOfSatisfying(Outcome.Measured.class, measured -> {
            assertThat(measured.pairs()).containsExactly(new Outcome.Pair(10, 5), new Outcome.Pair(10, 5));
            assertThat(measured.first()).isEqualTo(new Outcome.Pair(10, 5));
        });
    }

    @Test
    void withoutAWarmUpTheSecondPairIsNotKept() {
        Outcome outcome = new ScenarioRunner(false, 1).run(unwarmed(Unit.NANOSECONDS));

        assertThat(calls).containsExactly("ours", "peer", "peer", "ours", "ours", "peer", "closed");
        assertThat(outcome).isInstanceOfSatisfying(Outcome.Measured.class,
                measured -> assertThat(measured.pairs()).hasSize(1));
    }

    @Test
    void bytesAreCountedOnceMoreAndNotAsOftenAsTimeIsTaken() {
        Outcome outcome = new ScenarioRunner(false, 7).run(unwarmed(Unit.BYTES));

        assertThat(calls).containsExactly("ours", "peer", "ours", "peer", "closed");
        assertThat(outcome).isInstanceOfSatisfying(Outcome.Measured.class,
                measured -> assertThat(measured.pairs()).hasSize(1));
    }

    @Test
    void aScenarioWhoseOutputsDifferFailsWithoutATimeAndStillCloses() {
        Outcome outcome = new ScenarioRunner(true, 1).run(scenario(10, 5, () -> {
            throw new IllegalStateException("they differ\nhere");
        }));

        assertThat(outcome).isEqualTo(new Outcome.Failed("java.lang.IllegalStateException: they differ?here"));
        assertThat(calls).endsWith("closed");
    }

    @Test
    void whatAMachineIsTooSmallForIsLeftOutBeforeAnythingIsPrepared() {
        Scenario small = scenario(10, 5, () -> { });
        Scenario large = new Sized(small, Long.MAX_VALUE - 1, 0);
        Scenario wide = new Sized(small, 0, Long.MAX_VALUE - 1);

        assertThat(new ScenarioRunner(true, 1).run(large)).isInstanceOfSatisfying(Outcome.LeftOut.class,
                left -> assertThat(left.reason()).startsWith("it takes ").contains(" of memory, and "));
        assertThat(new ScenarioRunner(true, 1).run(wide)).isInstanceOfSatisfying(Outcome.LeftOut.class,
                left -> assertThat(left.reason()).contains(" are free; MICROSNAP_SCRATCH names another directory"));
        assertThat(calls).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"110, 100, MET", "114, 100, CLOSE", "120, 100, MISSED"})
    void timeIsJudgedAgainstThePeersTime(long ours, long peer, Row.Verdict verdict) {
        assertThat(verdictOf(Target.timeAtMost(1.10), ours, peer)).isEqualTo(verdict);
    }

    @ParameterizedTest
    @CsvSource({"100, 300, MET", "100, 290, CLOSE", "100, 280, MISSED"})
    void speedIsJudgedAgainstThePeersSpeed(long ours, long peer, Row.Verdict verdict) {
        assertThat(verdictOf(Target.speedAtLeast(3), ours, peer)).isEqualTo(verdict);
    }

    @Test
    void theRatioIsTheMedianOfThePairsSoThatDriftCancels() {
        Outcome.Measured drifting = new Outcome.Measured(new Outcome.Pair(1, 1), List.of(new Outcome.Pair(100, 100),
                new Outcome.Pair(220, 200), new Outcome.Pair(360, 300)), List.of());
        assertThat(drifting.ratio(Target.timeAtMost(1))).isEqualTo(new Spread(1.0, 1.1, 1.2));
        assertThat(drifting.ours().median()).isEqualTo(220);
        assertThat(drifting.peer().median()).isEqualTo(200);
        assertThat(drifting.firstDiffers()).isTrue();
    }

    @Test
    void theSmallWriteScenarioRunsBesideItsPeerInC(CCompiler compiler, @TinyFileSystem Path mountingWorksHere) {
        Outcome outcome = new ScenarioRunner(true, 2).run(new SmallWriteScenario(1 << 20));
        assertThat(outcome).isInstanceOfSatisfying(Outcome.Measured.class,
                measured -> assertThat(measured.pairs()).hasSize(2));
    }

    @Test
    void everyRowHasANameOfItsOwnAcrossAllFamilies() {
        List<Family> families = Scenarios.families();
        assertThat(families.stream().flatMap(family -> family.offered(false).stream()).map(Scenario::name))
                .isNotEmpty().doesNotHaveDuplicates();
        assertThat(families).allSatisfy(family -> assertThat(family.rows()).as(family.name()).isNotEmpty());
        assertThat(families.stream().map(family -> family.quick().name())).doesNotHaveDuplicates();
        assertThat(families.stream().map(Family::name)).doesNotHaveDuplicates();
        // A quick row may be one of a full run's, of its own family.
        for (Family family : families) {
            assertThat(families.stream().filter(other -> !other.equals(family))
                    .flatMap(other -> other.offered(false).stream()).map(Scenario::name))
                    .doesNotContain(family.quick().name());
        }
    }

    @Test
    void detailsAreFoundByAnExpressionAndNotByTheirFamilysName() {
        Scenario row = RunsForTests.scenario("example/much");
        Scenario detail = RunsForTests.scenario("example/little");
        Family family = new Family("example", "?", row, List.of(row, detail)).detailing("/little$");
        assertThat(family.matching(false, Pattern.compile("example"))).containsExactly(row);
        assertThat(family.matching(false, Pattern.compile("example/"))).containsExactly(row, detail);
        assertThat(family.matching(false, Pattern.compile("little"))).containsExactly(detail);
        assertThat(family.everyRow()).contains(detail);
    }

    @Test
    void aTargetIsWhatItsCodeSays() {
        for (Target target : List.of(Target.none(), Target.timeAtMost(1.15), Target.speedAtLeast(0.75))) {
            assertThat(Target.parse(target.code())).isEqualTo(target);
        }
    }

    private static Row.Verdict verdictOf(Target target, long ours, long peer) {
        return new Row("family", "row", "", Unit.NANOSECONDS, target, new Outcome.Measured(new Outcome.Pair(1, 1),
                List.of(new Outcome.Pair(ours, peer)), List.of())).verdict();
    }

    private Scenario unwarmed(Unit unit) {
        return scenario(unit, new Duel(answering("ours", 10), answering("peer", 5), () -> { }));
    }

    private Scenario scenario(long ours, long peer, Duel.Action check) {
        return scenario(Unit.NANOSECONDS, new Duel(answering("ours", ours), answering("peer", peer), check)
                .warmedBy(() -> calls.add("warm up")));
    }

    private Scenario scenario(Unit unit, Duel duel) {
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
                return Target.none();
            }

            @Override
            public long workingSetBytes() {
                return 0;
            }

            @Override
            public Duel prepare(Workbench workbench) {
                workbench.closeLater(() -> calls.add("closed"));
                return duel;
            }

            @Override
            public Unit unit() {
                return unit;
            }
        };
    }

    private Contestant answering(String name, long nanoseconds) {
        return () -> {
            calls.add(name);
            return nanoseconds;
        };
    }

    /** A scenario that needs more than it is. */
    private record Sized(Scenario small, long workingSetBytes, long diskBytes) implements Scenario {
        @Override
        public String name() {
            return small.name();
        }

        @Override
        public String question() {
            return small.question();
        }

        @Override
        public Target target() {
            return small.target();
        }

        @Override
        public Duel prepare(Workbench workbench) throws Exception {
            return small.prepare(workbench);
        }
    }
}
