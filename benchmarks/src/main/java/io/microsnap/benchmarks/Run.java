package io.microsnap.benchmarks;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A run of the benchmarks.
 *
 * @param revision the commit that was measured, or "unknown"
 */
record Run(Instant started, String revision, int pairs, Machine machine, List<Row> rows) {

    Run {
        rows = List.copyOf(rows);
    }

    Optional<Row> row(String name) {
        return rows.stream().filter(row -> row.name().equals(name)).findFirst();
    }

    long count(Row.Verdict verdict) {
        return rows.stream().filter(row -> row.verdict() == verdict).count();
    }

    /** Returns the rows of each family, in the order in which they were measured. */
    Map<String, List<Row>> byFamily() {
        Map<String, List<Row>> families = new LinkedHashMap<>();
        for (Row row : rows) {
            families.merge(row.family(), List.of(row), Run::joined);
        }
        return families;
    }

    private static List<Row> joined(List<Row> some, List<Row> more) {
        return Stream.concat(some.stream(), more.stream()).toList();
    }
}
