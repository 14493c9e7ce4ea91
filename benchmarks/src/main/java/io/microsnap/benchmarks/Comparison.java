package io.microsnap.benchmarks;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Finds rows that became slower or faster. What is compared is the ratio to the peer, in which the machine's mood
 * cancels: it must differ by more than a tenth and by more than both runs' own spread.
 */
final class Comparison {
    private static final double LEAST_CHANGE = 0.10;
    private static final int PERCENT = 100;

    private final Run old;

    Comparison(Run old) {
        this.old = old;
    }

    /**
     * A row that changed.
     *
     * @param before the old ratio of our value to the peer's
     * @param now the new one
     */
    record Finding(String name, double before, double now) {
        boolean slower() {
            return now > before;
        }

        @Override
        public String toString() {
            return String.format(Locale.ROOT, "%s: %s by %.0f %% (%.3f to %.3f times the peer's)", name,
                    slower() ? "slower" : "faster", PERCENT * Math.abs(now / before - 1), before, now);
        }
    }

    /** Says whether a row changed since the old run. A time that was taken once may be anything: it never changed. */
    Optional<Finding> changed(Row row) {
        Optional<Row> before = old.row(row.name());
        if (before.isEmpty() || !(before.get().outcome() instanceof Outcome.Measured then)
                || !(row.outcome() instanceof Outcome.Measured now)) {
            return Optional.empty();
        }
        Spread was = ratio(then);
        Spread is = ratio(now);
        if (row.unit() == Unit.NANOSECONDS && (was.width() == 0 || is.width() == 0)) {
            return Optional.empty();
        }
        double change = Math.abs(is.median() - was.median());
        // Not the new spread: one slow run of three must not hide that all became slower.
        boolean apart = is.low() > was.high() || is.high() < was.low();
        boolean differs = change > LEAST_CHANGE * was.median() && change > was.width() && apart;
        return differs ? Optional.of(new Finding(row.name(), was.median(), is.median())) : Optional.empty();
    }

    /** Says whether a second run of a changed row tells the same. */
    boolean confirms(Finding finding, Row again) {
        return changed(again).filter(second -> second.slower() == finding.slower()).isPresent();
    }

    /** Names what cannot be compared. */
    List<String> remarks(Run now) {
        List<String> remarks = new ArrayList<>();
        if (!old.machine().equals(now.machine())) {
            remarks.add("the old run was made on another machine, or with another JDK or flags: only ratios to the"
                    + " peers are compared");
        }
        long without = now.rows().stream().filter(row -> old.row(row.name()).isEmpty()).count();
        if (without > 0) {
            remarks.add(without + " of " + now.rows().size() + " rows are not in the old run");
        }
        long once = now.rows().stream().filter(row -> row.unit() == Unit.NANOSECONDS
                && row.outcome() instanceof Outcome.Measured measured && ratio(measured).width() == 0).count();
        if (once > 0) {
            remarks.add(once + " of " + now.rows().size() + " rows took a time once, which shows no spread: they are"
                    + " not compared");
        }
        return remarks;
    }

    private static Spread ratio(Outcome.Measured measured) {
        return Spread.of(measured.pairs().stream().mapToDouble(pair -> (double) pair.ours() / pair.peer()));
    }
}
