package io.microsnap.benchmarks;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Measures the chosen scenarios one after another, and those that seem to have changed a second time. */
final class Session {
    private final Measuring measuring;
    private final Progress progress;
    private final Listener listener;

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

    /** Gets each row as soon as it was measured. */
    @FunctionalInterface
    interface Listener {
        void measured(Row row) throws IOException;
    }

    Session(Measuring measuring, Progress progress, Listener listener) {
        this.measuring = measuring;
        this.progress = progress;
        this.listener = listener;
    }

    /** Returns what became slower or faster. */
    List<Comparison.Finding> run(List<Chosen> chosen, Optional<Comparison> comparison)
            throws IOException, InterruptedException {
        int number = 0;
        List<Comparison.Finding> findings = new ArrayList<>();
        for (Chosen one : chosen) {
            progress.next(++number, chosen.size(), one.scenario().name());
            Row row = measuring.measure(one);
            listener.measured(row);
            if (comparison.isPresent()) {
                Optional<Comparison.Finding> finding = comparison.get().changed(row);
                if (finding.isPresent()) {
                    progress.next(number, chosen.size(), one.scenario().name() + " again, for it seems changed");
                    if (comparison.get().confirms(finding.get(), measuring.measure(one))) {
                        findings.add(finding.get());
                    }
                }
            }
        }
        return findings;
    }
}
