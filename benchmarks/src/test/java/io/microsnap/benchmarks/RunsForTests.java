package io.microsnap.benchmarks;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;

/** Runs and scenarios with values that a test chooses. */
final class RunsForTests {
    static final Machine MACHINE = new Machine(
            "a processor", 2, 24L << 30, "Linux 6.18", "ext4 on /dev/vda", "a JVM 25", "-Xmx1g");

    private RunsForTests() {
    }

    static Run run(Row... rows) {
        return new Run(Instant.parse("2026-11-30T20:00:00Z"), "abc1234", 3, MACHINE, List.of(rows));
    }

    /** A row of a family, measured with a peer that always takes 1,000 ns. */
    static Row row(String family, String name, Target target, long... ours) {
        return new Row(family, name, "a question", Unit.NANOSECONDS, target, measured(ours));
    }

    static Row row(String name, long... ours) {
        return row("family", name, Target.none(), ours);
    }

    static Outcome.Measured measured(long... ours) {
        return new Outcome.Measured(new Outcome.Pair(9000, 1000),
                LongStream.of(ours).mapToObj(value -> new Outcome.Pair(value, 1000)).toList(),
                List.of(new Reading("pause", Unit.NANOSECONDS, 400, Reading.NONE),
                        new Reading("major faults", Unit.COUNT, 12, 13)));
    }

    /** A row for each thing that a chart shows. */
    static Run charted() {
        List<Row> rows = new ArrayList<>();
        long factor = 1;
        for (String engine : List.of("lazy", "working-set", "populate", "eager", "memfd", "huge-pages")) {
            for (String cache : List.of("cold", "warm")) {
                for (int mib : new int[] {4, 64, 256}) {
                    long time = factor * mib * 100_000L;
                    rows.add(row("restore", "restore/" + engine + "/full/" + cache + "/1g/" + mib + "m-runs",
                            Target.timeAtMost(1.15), time, time * 11 / 10, time * 12 / 10));
                }
            }
            factor++;
        }
        for (String share : List.of("0.1", "1", "5", "20")) {
            long time = (long) (Double.parseDouble(share) * 10_000_000);
            rows.add(row("share", "share/xfs/1g/" + share + "%", Target.none(), time, time, time));
        }
        for (String kind : List.of("same", "diffs", "clones")) {
            for (int count : new int[] {1, 4, 16}) {
                rows.add(new Row("siblings", "siblings/" + kind + "/256m/" + count, "a question", Unit.BYTES,
                        Target.none(), measured((long) count << 26, (long) count << 26, (long) count << 26)));
            }
        }
        rows.add(new Row("registry", "registry/push/1g", "a question", Unit.NANOSECONDS, Target.none(),
                new Outcome.LeftOut("there is no <registry> here")));
        rows.add(new Row("copy", "copy/1g", "a question", Unit.NANOSECONDS, Target.none(),
                new Outcome.Failed("they differ")));
        return run(rows.toArray(Row[]::new));
    }

    /** A scenario that is only named. */
    static Scenario scenario(String name) {
        return new Scenario() {
            @Override
            public String name() {
                return name;
            }

            @Override
            public String question() {
                return "a question";
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
                throw new IllegalStateException("not to be run");
            }
        };
    }
}
