package io.microsnap.cli;

import io.microsnap.store.Recovered;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

@Command(
        name = "gc",
        mixinStandardHelpOptions = true,
        description = "Removes unfinished work of dead processes. Deletes no snapshot.",
        footerHeading = "%n",
        footer = "Example: microsnap gc --store /var/lib/snapshots")
final class CollectGarbage extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Override
    int run(Console console) throws IOException {
        Recovered recovered;
        try (DirectoryStore open = store.open(console)) {
            // Opening the store has removed most of it.
            recovered = open.recovered().and(open.gc());
        }
        console.report(new Document().put("removed", recovered.removed()).put("freed_bytes", recovered.freedBytes())
                .put("alive", recovered.alive()));
        console.say("removed " + recovered.removed() + " unfinished, " + Sizes.bytes(recovered.freedBytes())
                + "; " + recovered.alive() + " still being made");
        return ExitStatus.OK;
    }
}
