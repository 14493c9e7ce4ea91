package io.microsnap.cli;

import io.microsnap.core.SnapshotId;
import io.microsnap.registry.RegistryReference;
import io.microsnap.registry.RepositoryName;
import java.util.List;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** The {@code microsnap} command. */
@Command(
        name = "microsnap",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class,
        description = "Snapshots of microVM memory: correct after any crash, small, fast.",
        synopsisSubcommandLabel = "COMMAND",
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {
            "0:done", "1:failed; also for an unknown store or snapshot", "2:the command line is invalid",
            "3:something stored is damaged", "130:interrupted"
        },
        footerHeading = "%n",
        footer = {
            "Example: microsnap list --store /var/lib/snapshots",
            "In a checkout, ./microsnap bench runs the benchmarks."
        })
public final class Main implements Runnable {

    private static final List<Class<?>> COMMANDS = List.of(
            Bake.class, ImportFiles.class, RestoreTo.class, ResumeGuest.class, RunCommand.class, VerifyAll.class,
            ListSnapshots.class, Inspect.class, ShowWorkingSet.class, Diff.class, Delete.class, CompactSnapshot.class,
            PruneStore.class, CollectGarbage.class, TransferTo.class,
            PushSnapshot.class, PullSnapshot.class, Remote.class, Copy.class,
            Dedup.class, Demo.class, Doctor.class);

    @Spec
    private CommandSpec spec;

    private Main() {
    }

    /** Runs the command line and ends the JVM with its exit status. */
    public static void main(String[] arguments) {
        // Chronicle's logging facade would otherwise print on every run that no logger is bound.
        System.setProperty("slf4j.internal.verbosity", "ERROR");
        List<Class<?>> known = arguments.length == 0 ? COMMANDS : knownFor(arguments[0]);
        System.exit(commandLine(known).execute(arguments));
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "which command?");
    }

    /**
     * Returns the command that the word names, or all commands: reading the options of all takes longer than many
     * commands run.
     */
    static List<Class<?>> knownFor(String word) {
        for (Class<?> command : COMMANDS) {
            if (command.getAnnotation(Command.class).name().equals(word)) {
                return List.of(command);
            }
        }
        return COMMANDS;
    }

    /** Returns the command line with every command. */
    static CommandLine commandLine() {
        return commandLine(COMMANDS);
    }

    private static CommandLine commandLine(List<Class<?>> known) {
        CommandLine commandLine = new CommandLine(new Main());
        known.forEach(commandLine::addSubcommand);
        commandLine.addSubcommand(HelpCommand.class);
        commandLine.registerConverter(SnapshotId.class, text -> converted(text, SnapshotId::new));
        commandLine.registerConverter(RegistryReference.class, text -> converted(text, RegistryReference::parse));
        commandLine.registerConverter(RepositoryName.class, text -> converted(text, RepositoryName::parse));
        commandLine.setCaseInsensitiveEnumValuesAllowed(true);
        commandLine.setParameterExceptionHandler(Main::explainUsage);
        if (System.getenv("NO_COLOR") != null) {
            commandLine.setColorScheme(CommandLine.Help.defaultColorScheme(Ansi.OFF));
        }
        return commandLine;
    }

    private static <T> T converted(String text, Function<String, T> reader) {
        try {
            return reader.apply(text);
        } catch (IllegalArgumentException notAName) {
            throw new TypeConversionException(notAName.getMessage());
        }
    }

    /** Prints one line with the mistake and one that points to the help, rather than the whole help. */
    private static int explainUsage(ParameterException failure, String[] arguments) {
        CommandLine command = failure.getCommandLine();
        command.getErr().println("microsnap: " + Plain.text(Failure.oneLine(failure.getMessage())));
        command.getErr().println("Try: " + command.getCommandSpec().qualifiedName() + " --help");
        return ExitStatus.USAGE;
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
