package io.microsnap.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/** Measures the chosen scenarios one after another, and those that seem to have changed a second time. */
final class Session {
    private final Measuring measuring;
    private final Progress progress;
    private final Consumer<Row> told;

    /** Measures one scenario: in a JVM of its own, or in a test in this one. */
    @FunctionalInterface
    interface Measuring {
        Row measure(Chosen chosen) throws IOException, InterruptedException;
    }

    /** A scenario with its family, and whether it is one of its details. */
    record Chosen(String family, Scenario scenario, boolean detail) {
    }

    /** Hears how far the session has come. */
    interface Progress {
        void next(int number, int of, String name);
    }

    /** What came of a session. */
    record Result(List<Row> rows, List<Comparison.Finding> findings) {
    }

    Session(Measuring measuring, Progress progress, Consumer<Row> told) {
        this.measuring = measuring;
        this.progress = progress;
        this.told = told;
    }

    Result run(List<Chosen> chosen, Optional<Comparison> comparison) throws IOException, InterruptedException {
        List<Row> rows = new ArrayList<>();
        List<Comparison.Finding> findings = new ArrayList<>();
        for (Chosen one : chosen) {
            progress.next(rows.size() + 1, chosen.size(), one.scenario().name());
            Row row = measuring.measure(one);
            rows.add(row);
            told.accept(row);
            if (comparison.isPresent()) {
                Optional<Comparison.Finding> finding = comparison.get().changed(row);
                if (finding.isPresent()) {
                    progress.next(rows.size(), chosen.size(), one.scenario().name() + " again, for it seems changed");
                    if (comparison.get().confirms(finding.get(), measuring.measure(one))) {
                        findings.add(finding.get());
                    }
                }
            }
        }
        return new Result(rows, findings);
    }
}
