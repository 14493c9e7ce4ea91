package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class ComparisonTest {
    private static final Run OLD = RunsForTests.run(
            RunsForTests.row("steady", 1000, 1010, 1020), RunsForTests.row("noisy", 1000, 1500, 2000),
            RunsForTests.row("slow", 1000, 1010, 1020), RunsForTests.row("flicker", 1000, 1010, 1020));

    private final Comparison comparison = new Comparison(OLD);

    @Test
    void aChangeBeyondATenthAndTheOldSpreadIsFoundWhereNoPairIsLikeTheOldOnes() {
        assertThat(comparison.changed(RunsForTests.row("steady", 1300, 1310, 1320))).get().asString()
                .isEqualTo("steady: slower by 30 % (1.010 to 1.310 times the peer's)");
        assertThat(comparison.changed(RunsForTests.row("steady", 500, 505, 510))).get().asString()
                .startsWith("steady: faster by 50 %");
        assertThat(comparison.changed(RunsForTests.row("steady", 1300, 1310, 3000))).isPresent();
    }

    @Test
    void lessThanATenthOrThanTheOldSpreadOrAPairLikeTheOldOnesIsNone() {
        assertThat(comparison.changed(RunsForTests.row("steady", 1090, 1100, 1110))).isEmpty();
        assertThat(comparison.changed(RunsForTests.row("noisy", 2400, 2410, 2420))).isEmpty();
        assertThat(comparison.changed(RunsForTests.row("steady", 900, 1310, 1320))).isEmpty();
        assertThat(comparison.changed(RunsForTests.row("another", 9000))).isEmpty();
    }

    @Test
    void aTimeThatWasTakenOnceIsNotComparedAndThatIsSaid() {
        Row once = RunsForTests.row("steady", 9000);
        assertThat(comparison.changed(once)).isEmpty();
        assertThat(comparison.remarks(RunsForTests.run(once))).singleElement().asString()
                .startsWith("1 of 1 rows took a time once");
    }

    @Test
    void aRowThatFailedOrWasLeftOutIsNoChange() {
        Row failed = new Row("family", "steady", "", Unit.NANOSECONDS, Target.none(), new Outcome.Failed("broken"));
        assertThat(comparison.changed(failed)).isEmpty();
        assertThat(new Comparison(RunsForTests.run(failed)).changed(RunsForTests.row("steady", 1))).isEmpty();
    }

    @Test
    void aPathThatSleepsIsNamedWhereASecondMeasurementConfirmsItAndWhatFlickersIsNot() throws Exception {
        List<String> measured = new ArrayList<>();
        List<Row> rows = new ArrayList<>();
        Session session = new Session(chosen -> {
            String name = chosen.scenario().name();
            long before = measured.stream().filter(name::equals).count();
            measured.add(name);
            // One path pauses in every run, another only in the first.
            long extra = name.equals("slow") || (name.equals("flicker") && before == 0) ? 2000 : 0;
            return RunsForTests.row(name, 1000 + extra, 1010 + extra, 1020 + extra);
        }, (number, of, name) -> assertThat(rows).as("rows are handed over before the next is measured")
                .hasSizeGreaterThanOrEqualTo(number - 1), rows::add);

        List<Comparison.Finding> findings = session.run(List.of(chosen("steady"), chosen("slow"), chosen("flicker")),
                Optional.of(comparison));

        assertThat(measured).containsExactly("steady", "slow", "slow", "flicker", "flicker");
        assertThat(rows).extracting(Row::name).containsExactly("steady", "slow", "flicker");
        assertThat(findings).extracting(Comparison.Finding::name).containsExactly("slow");
        Run run = RunsForTests.run(rows.toArray(Row[]::new));
        assertThat(Main.status(run, findings)).isEqualTo(5);
        assertThat(Main.status(run, List.of())).isZero();
    }

    @Test
    void whatCannotBeComparedIsSaid() {
        Machine other = new Machine("another", 4, 1, "Linux", "xfs", "a JVM 25", "");
        Run now = new Run(OLD.started(), "x", 3, other, List.of(RunsForTests.row("new", 1, 2)));
        assertThat(comparison.remarks(now)).hasSize(2).anyMatch(remark -> remark.contains("another machine"))
                .anyMatch(remark -> remark.startsWith("1 of 1 rows are not in the old run"));
        assertThat(comparison.remarks(OLD)).isEmpty();
    }

    private static Session.Chosen chosen(String name) {
        return new Session.Chosen("family", RunsForTests.scenario(name), false);
    }
}
