package io.microsnap.benchmarks;

import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Scenarios that answer one question together.
 *
 * @param name what it is called on the command line
 * @param question what a reader learns from it
 * @param quick the one row that {@code --quick} measures, small enough for some seconds
 * @param rows those that say most: a full run measures them
 * @param details the others, measured where an expression finds their names
 */
record Family(String name, String question, Scenario quick, List<Scenario> rows, List<Scenario> details) {

    Family {
        rows = List.copyOf(rows);
        details = List.copyOf(details);
    }

    /** Makes a family whose rows all say much. */
    Family(String name, String question, Scenario quick, List<Scenario> rows) {
        this(name, question, quick, rows, List.of());
    }

    /** Returns the same family with those rows as details in whose names one of the expressions is found. */
    Family detailing(String... expressions) {
        Map<Boolean, List<Scenario>> split = rows.stream().collect(Collectors.partitioningBy(row ->
                Stream.of(expressions).anyMatch(expression -> Pattern.compile(expression).matcher(row.name()).find())));
        return new Family(name, question, quick, split.get(false), split.get(true));
    }

    /** Returns the rows of a full run; of a quick run, the quick one. */
    List<Scenario> rows(boolean quickly) {
        return quickly ? List.of(quick) : rows;
    }

    /** Returns the rows that a word of the command line names: a family's name, or what is found in a row's. */
    List<Scenario> matching(boolean quickly, Pattern pattern) {
        return pattern.pattern().equals(name) ? rows(quickly)
                : offered(quickly).stream().filter(row -> pattern.matcher(row.name()).find()).toList();
    }

    /** Returns the rows that can be named. */
    List<Scenario> offered(boolean quickly) {
        return quickly ? List.of(quick) : Stream.concat(rows.stream(), details.stream()).toList();
    }

    /** Returns every row, the quick one first. */
    List<Scenario> everyRow() {
        return Stream.concat(Stream.of(quick), offered(false).stream()).toList();
    }
}
