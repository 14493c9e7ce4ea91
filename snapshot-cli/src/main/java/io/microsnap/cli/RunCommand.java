package io.microsnap.cli;

import io.microsnap.store.SnapshotStore;
import io.microsnap.vmm.InPlace;
import java.io.IOException;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(
        name = "run",
        mixinStandardHelpOptions = true,
        description = "Runs a command that uses a snapshot in its place in the store. Until the command ends, the"
                + " snapshot cannot be deleted or replaced. In its arguments {memory} becomes the path of the guest's"
                + " memory, {attachments} that of the directory of attachments. Ends with the command's status.",
        footerHeading = "%n",
        footer = "Example: microsnap run --store /snapshots --id base-1 -- qemu-system-x86_64 -machine"
                + " pc-q35-7.2,memory-backend=ram -object"
                + " memory-backend-file,id=ram,size=1G,mem-path={memory},share=off"
                + " -incoming defer ...")
final class RunCommand extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Parameters(paramLabel = "COMMAND", arity = "1..*", description = "The command and its arguments, after --.")
    private List<String> command;

    @Override
    int run(Console console) throws IOException {
        try (SnapshotStore open = store.open(console)) {
            return InPlace.run(open, store.directory(), snapshot.id(), command);
        }
    }
}
