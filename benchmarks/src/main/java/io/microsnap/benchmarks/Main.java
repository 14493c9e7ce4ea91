package io.microsnap.benchmarks;

import io.microsnap.benchmarks.chart.LineChart;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/**
 * {@code ./microsnap bench}: whole paths beside C peers, JMH for the parts, jcstress for what threads may do to each
 * other.
 */
@Command(
        name = "microsnap bench",
        mixinStandardHelpOptions = true,
        description = {
            "Measures microsnap beside native peers, each row in a JVM of its own. Both sides take turns and must do"
                + " the same job; the ratio is the median of the pairs.",
            "Use a machine that does nothing else; with --pairs 3 all families take forty minutes on two cores. As root"
                + " it makes filesystems to measure on; what a machine cannot do is left out, with the reason."},
        subcommands = {Main.JmhCommand.class, Main.StressCommand.class, Main.ReportCommand.class,
            Main.OneCommand.class},
        exitCodeListHeading = "Exit status:%n",
        exitCodeList = {"0:every target met", "1:a row failed", "2:wrong usage, or an old run that cannot be read",
            "4:a target was missed", "5:a row became slower or faster than in the old run"})
public final class Main implements Callable<Integer> {
    static final int FAILED = 1;
    static final int MISSED = 4;
    static final int CHANGED = 5;

    private static final int USUAL_PAIRS = 7;
    private static final int QUICK_PAIRS = 3;
    private static final int MOST_PAIRS = 1000;

    @Option(names = "--list", description = "Say what there is, details too; measure nothing.")
    private boolean list;

    @Option(names = "--quick", description = "One small row of each family: less than two minutes.")
    private boolean quick;

    @Option(names = "--pairs", paramLabel = "N", defaultValue = "0",
            description = "How often both sides run (default: 7, with --quick 3).")
    private int pairs;

    @Option(names = "--compare", paramLabel = "OLD.json",
            description = "Say which rows became slower or faster than in an older run: by more than 10 %% and by more"
                    + " than the old spread, no pair like one of the old, confirmed by a second measurement.")
    private Optional<Path> compare;

    @Mixin
    private Outputs outputs;

    @Parameters(paramLabel = "NAME", arity = "0..*",
            description = "A family, or a regular expression that is found in the names of rows, those of details too;"
                    + " . names all (default: every family).")
    private List<Pattern> names = List.of();

    @Spec
    private CommandSpec spec;

    Main() {
    }

    /** Runs, and ends the JVM with the command's status. */
    public static void main(String[] arguments) {
        // Chronicle Bytes brings SLF4J, which says on standard error that nobody listens.
        System.setProperty("slf4j.internal.verbosity", "ERROR");
        OwnJvm.endWithParent();
        System.exit(commandLine().execute(arguments));
    }

    static CommandLine commandLine() {
        return new CommandLine(new Main()).setExecutionExceptionHandler((failure, command, parsed) -> {
            if (failure instanceof IOException expected) {
                command.getErr().println(expected.getMessage());
                return FAILED;
            }
            throw failure;
        });
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        List<Session.Chosen> chosen = chosen();
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        if (list) {
            chosen.forEach(one -> out.println(one.scenario().name() + ": " + one.scenario().question() + "; "
                    + one.scenario().target() + (one.detail() ? "; measured only by its name" : "")));
            return 0;
        }
        int count = pairs == 0 ? quick ? QUICK_PAIRS : USUAL_PAIRS : pairs;
        if (count < 1 || count > MOST_PAIRS) {
            throw wrong("--pairs must be between 1 and " + MOST_PAIRS);
        }
        Optional<Comparison> comparison = comparison();
        outputs.requireWritable(this::wrong);
        TextReport report = new TextReport(out);
        Machine machine = Machine.here();
        report.machine(machine);
        Instant started = Instant.now();
        String revision = Revision.ofCheckout();
        List<Row> rows = new ArrayList<>();
        Session session = new Session(one -> OwnJvm.measure(one, count, quick), new TimeLeft(System.err), row -> {
            report.row(row);
            rows.add(row);
            outputs.keep(new Run(started, revision, count, machine, rows));
        });
        List<Comparison.Finding> findings = session.run(chosen, comparison);
        Run run = new Run(started, revision, count, machine, rows);
        report.summary(run);
        List<String> changes = new ArrayList<>();
        if (comparison.isPresent()) {
            report.findings(comparison.get(), run, findings);
            changes.addAll(comparison.get().remarks(run));
            findings.forEach(finding -> changes.add(finding.toString()));
            if (findings.isEmpty()) {
                changes.add("nothing became slower or faster");
            }
        }
        outputs.write(run, changes);
        return status(run, findings);
    }

    static int status(Run run, List<Comparison.Finding> findings) {
        if (run.count(Row.Verdict.FAILED) > 0) {
            return FAILED;
        }
        return !findings.isEmpty() ? CHANGED : run.count(Row.Verdict.MISSED) > 0 ? MISSED : 0;
    }

    private List<Session.Chosen> chosen() {
        List<Family> families = Scenarios.families();
        for (Pattern name : names) {
            if (families.stream().allMatch(family -> family.matching(quick, name).isEmpty())) {
                throw wrong("no family is called " + name + ", and it is found in no row's name; --list names them"
                        + " all");
            }
        }
        List<Session.Chosen> chosen = new ArrayList<>();
        for (Family family : families) {
            for (Scenario row : family.offered(quick)) {
                boolean detail = family.details().contains(row);
                if (names.isEmpty() ? list || !detail
                        : names.stream().anyMatch(name -> family.matching(quick, name).contains(row))) {
                    chosen.add(new Session.Chosen(family.name(), row, detail));
                }
            }
        }
        return chosen;
    }

    private Optional<Comparison> comparison() {
        if (compare.isEmpty()) {
            return Optional.empty();
        }
        try {
            return Optional.of(new Comparison(RunFile.read(compare.get())));
        } catch (IOException e) {
            throw wrong("the old run cannot be read: " + Failures.text(e));
        }
    }

    private CommandLine.ParameterException wrong(String why) {
        return new CommandLine.ParameterException(spec.commandLine(), why);
    }

    /** One row, for the JVM that measures it alone: prints the row as JSON. */
    @Command(name = "one", hidden = true, description = "Measures one row in this JVM, and prints it as JSON.")
    static final class OneCommand implements Callable<Integer> {
        @Option(names = "--pairs", required = true)
        private int pairs;

        @Option(names = "--quick", description = "Warms up for a second at most.")
        private boolean quick;

        @Parameters(paramLabel = "ROW")
        private String name;

        @Spec
        private CommandSpec spec;

        @Override
        public Integer call() throws IOException {
            PrintStream out = System.out;
            // Only the row may be printed there.
            System.setOut(System.err);
            System.setProperty(Workbench.QUICK, Boolean.toString(quick));
            for (Family family : Scenarios.families()) {
                for (Scenario scenario : family.everyRow()) {
                    if (scenario.name().equals(name)) {
                        Outcome outcome = new ScenarioRunner(quick, pairs).run(scenario);
                        out.write(RunFile.write(Row.of(family.name(), scenario, outcome)));
                        out.flush();
                        return 0;
                    }
                }
            }
            throw new CommandLine.ParameterException(spec.commandLine(), "no row is called " + name);
        }
    }

    /** An older run, shown again. */
    @Command(name = "report", mixinStandardHelpOptions = true,
            description = "Shows a run that --json wrote: as a table, a page, or images of its charts.")
    static final class ReportCommand implements Callable<Integer> {
        @Mixin
        private Outputs outputs;

        @Option(names = "--markdown", description = "Print the table as Markdown.")
        private boolean markdown;

        @Option(names = "--charts", paramLabel = "DIRECTORY", description = "Write the charts there, as images.")
        private Optional<Path> charts;

        @Parameters(paramLabel = "RUN.json")
        private Path file;

        @Spec
        private CommandSpec spec;

        @Override
        public Integer call() throws IOException {
            PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
            Run run;
            try {
                run = RunFile.read(file);
            } catch (IOException e) {
                throw new CommandLine.ParameterException(spec.commandLine(),
                        "the run cannot be read: " + Failures.text(e));
            }
            outputs.requireWritable(why -> new CommandLine.ParameterException(spec.commandLine(), why));
            if (markdown) {
                out.print(MarkdownReport.of(run));
            } else {
                TextReport report = new TextReport(out);
                report.machine(run.machine());
                run.rows().forEach(report::row);
                report.summary(run);
            }
            outputs.write(run, List.of());
            if (charts.isPresent()) {
                Files.createDirectories(charts.get());
                for (Map.Entry<String, LineChart> chart : new Charts(run).lines().entrySet()) {
                    Outputs.replace(charts.get().resolve(chart.getKey() + ".svg"),
                            chart.getValue().standalone().getBytes(StandardCharsets.UTF_8));
                }
            }
            return 0;
        }
    }

    /** The parts. */
    @Command(
            name = "jmh",
            description = "JMH for the parts, allocation profiled; takes JMH's own options (-h tells them, -l lists the"
                    + " benchmarks).")
    static final class JmhCommand implements Callable<Integer> {

        @CommandLine.Unmatched
        private final List<String> options = new ArrayList<>();

        @Override
        public Integer call() throws Exception {
            String[] arguments = options.toArray(String[]::new);
            CommandLineOptions asked = new CommandLineOptions(arguments);
            if (asked.shouldHelp()) {
                asked.showHelp();
                return 0;
            }
            if (asked.shouldList()) {
                new Runner(asked).list();
                return 0;
            }
            // Forks take over the flags of this JVM.
            Options profiled = new OptionsBuilder()
                    .parent(asked)
                    .addProfiler(GCProfiler.class)
                    .shouldFailOnError(true)
                    .build();
            new Runner(profiled).run();
            return 0;
        }
    }

    /** Concurrency. */
    @Command(
            name = "stress",
            description = "jcstress for what threads may see; takes jcstress's own options (-h lists them).")
    static final class StressCommand implements Callable<Integer> {

        @CommandLine.Unmatched
        private final List<String> options = new ArrayList<>();

        @Override
        public Integer call() throws Exception {
            org.openjdk.jcstress.Main.main(options.toArray(String[]::new));
            return 0;
        }
    }
}
