package io.microsnap.benchmarks;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Scenarios that answer one question together.
 *
 * @param name what it is called on the command line
 * @param question what a reader learns from it
 * @param quick the one row that {@code --quick} measures, small enough for some seconds
 * @param rows all others
 */
record Family(String name, String question, Scenario quick, List<Scenario> rows) {

    Family {
        rows = List.copyOf(rows);
    }

    /** Returns the rows of a full run; of a quick run, the quick one. */
    List<Scenario> rows(boolean quickly) {
        return quickly ? List.of(quick) : rows;
    }

    /** Returns the rows that a word of the command line names: a family's name, or what is found in a row's. */
    List<Scenario> matching(boolean quickly, Pattern pattern) {
        return pattern.pattern().equals(name) ? rows(quickly)
                : rows(quickly).stream().filter(row -> pattern.matcher(row.name()).find()).toList();
    }

    /** Returns every row, the quick one first. */
    List<Scenario> everyRow() {
        List<Scenario> every = new ArrayList<>(List.of(quick));
        every.addAll(rows);
        return every;
    }
}
