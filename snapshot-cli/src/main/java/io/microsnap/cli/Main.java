package io.microsnap.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The {@code microsnap} command. */
@Command(
        name = "microsnap",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class,
        description = "Snapshots of microVM memory: correct after any crash, small, fast.",
        synopsisSubcommandLabel = "COMMAND",
        footerHeading = "%n",
        footer = "In a checkout, ./microsnap bench runs the benchmarks.")
public final class Main implements Runnable {

    @Spec
    private CommandSpec spec;

    private Main() {
    }

    /** Runs the command line and ends the JVM with its exit status. */
    public static void main(String[] arguments) {
        System.exit(commandLine().execute(arguments));
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "which command?");
    }

    static CommandLine commandLine() {
        return new CommandLine(new Main());
    }

    /** The version that the jar was built with. */
    static final class Version implements IVersionProvider {

        @Override
        public String[] getVersion() {
            String version = Main.class.getPackage().getImplementationVersion();
            return new String[] {"microsnap " + (version == null ? "(not packaged)" : version)};
        }
    }
}
