package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.Help.Ansi;

/** {@code docs/cli.md} says what the commands say of themselves; {@code -Dmicrosnap.write-docs} makes it so. */
class CommandReferenceTest {
    @Test
    void theReferenceIsWhatTheCommandsSay() throws IOException {
        Path reference = Path.of("").toAbsolutePath().getParent().resolve("docs/cli.md");
        String fresh = reference();
        if (Boolean.getBoolean("microsnap.write-docs")) {
            Files.writeString(reference, fresh);
        }
        assertThat(reference).as("write it anew: mvn -o -pl snapshot-cli -am test -Dtest=CommandReferenceTest"
                + " -Dsurefire.failIfNoSpecifiedTests=false -Dtest.jvm.flags=-Dmicrosnap.write-docs=true")
                .hasContent(fresh);
    }

    @Test
    void everyCommandHasAnExample() {
        assertThat(Main.commandLine().getSubcommands().values()).filteredOn(command ->
                !command.getCommandName().equals("help")).allSatisfy(command ->
                assertThat(command.getUsageMessage(Ansi.OFF)).contains("Example: microsnap "
                        + command.getCommandName()));
    }

    private static String reference() {
        CommandLine main = Main.commandLine();
        StringBuilder text = new StringBuilder("# Commands\n\nWritten from the commands themselves;"
                + " [json.md](json.md) says what they print with `--json`.\n\n");
        append(text, main);
        main.getSubcommands().values().stream().filter(command -> !command.getCommandName().equals("help"))
                .forEach(command -> {
                    append(text, command);
                    command.getSubcommands().values().forEach(below -> append(text, below));
                });
        return text.toString();
    }

    private static void append(StringBuilder text, CommandLine command) {
        text.append("## ").append(command.getCommandSpec().qualifiedName()).append("\n\n```\n")
                .append(command.getUsageMessage(Ansi.OFF).replace(System.lineSeparator(), "\n").stripTrailing())
                .append("\n```\n\n");
    }
}
