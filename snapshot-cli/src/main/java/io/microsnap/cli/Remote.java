package io.microsnap.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
        name = "remote",
        mixinStandardHelpOptions = true,
        subcommands = RemoteList.class,
        description = "Inspects a registry.",
        synopsisSubcommandLabel = "COMMAND",
        footerHeading = "%n",
        footer = "Example: microsnap remote list localhost:5000/guests")
final class Remote implements Runnable {
    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "which command?");
    }
}
