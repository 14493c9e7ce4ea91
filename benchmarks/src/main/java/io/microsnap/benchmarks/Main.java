package io.microsnap.benchmarks;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/**
 * {@code ./microsnap bench}: whole-path scenarios, JMH for the parts, jcstress for what threads may do to each other.
 */
@Command(
        name = "microsnap bench",
        mixinStandardHelpOptions = true,
        description = "Measures microsnap beside native peers, in the same run on this machine.",
        subcommands = {Main.ScenarioCommand.class, Main.JmhCommand.class, Main.StressCommand.class},
        synopsisSubcommandLabel = "COMMAND")
public final class Main {

    private Main() {
    }

    /** Runs, and ends the JVM with the command's status. */
    public static void main(String[] arguments) {
        // Chronicle Bytes brings SLF4J, which says on standard error that nobody listens.
        System.setProperty("slf4j.internal.verbosity", "ERROR");
        OwnJvm.endWithParent();
        System.exit(new CommandLine(new Main()).execute(arguments));
    }

    /** Whole paths beside C peers. */
    @Command(
            name = "scenarios",
            mixinStandardHelpOptions = true,
            description = "Whole paths beside a peer in C, each in a JVM of its own. Both take turns; the ratio is the"
                    + " median of the pairs.",
            exitCodeListHeading = "Exit status:%n",
            exitCodeList = {"0:every target met", "1:a scenario failed", "2:wrong usage", "4:a target was missed"})
    static final class ScenarioCommand implements Callable<Integer> {
        private static final int FAILED = 1;
        private static final int MISSED = 4;

        @Option(names = "--list", description = "Say what there is; measure nothing.")
        private boolean list;

        @Option(names = "--pairs", paramLabel = "N", defaultValue = "7",
                description = "How often both sides run (default: ${DEFAULT-VALUE}).")
        private int pairs;

        @Parameters(paramLabel = "PATTERN", defaultValue = ".*", arity = "0..*",
                description = "Regular expressions, found anywhere in a name (default: all).")
        private List<Pattern> patterns;

        @Spec
        private CommandSpec spec;

        @Override
        public Integer call() throws IOException, InterruptedException {
            PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
            List<Scenario> chosen = Scenarios.all().stream()
                    .filter(scenario -> patterns.stream().anyMatch(p -> p.matcher(scenario.name()).find()))
                    .toList();
            if (chosen.isEmpty()) {
                throw new CommandLine.ParameterException(spec.commandLine(), "no scenario has a name in which "
                        + patterns.stream().map(Pattern::pattern).collect(Collectors.joining(" or "))
                        + " is found; --list names them all");
            }
            Report report = new Report(out);
            if (list) {
                chosen.forEach(report::announce);
                return 0;
            }
            if (chosen.size() == 1) {
                report.announce(chosen.getFirst());
                Outcome outcome = new ScenarioRunner(2, pairs).run(chosen.getFirst());
                report.add(outcome);
                return status(outcome);
            }
            Set<Integer> statuses = new HashSet<>();
            for (Scenario scenario : chosen) {
                statuses.add(OwnJvm.run(scenario.name(), pairs));
            }
            return worst(statuses);
        }

        private static int status(Outcome outcome) {
            return switch (outcome) {
                case Outcome.Failed failed -> FAILED;
                case Outcome.Measured measured when measured.verdict() == Target.Verdict.MISSED -> MISSED;
                default -> 0;
            };
        }

        /** A JVM that ended in yet another way is a failure, too. */
        static int worst(Set<Integer> statuses) {
            if (statuses.stream().anyMatch(status -> status != 0 && status != MISSED)) {
                return FAILED;
            }
            return statuses.contains(MISSED) ? MISSED : 0;
        }
    }

    /** The parts. */
    @Command(
            name = "jmh",
            description = "JMH for the parts, allocation profiled; takes JMH's own options (-h lists them).")
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
