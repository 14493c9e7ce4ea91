package io.microsnap.cli;

import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The store that a command works on. */
final class StoreLocation {
    @Option(names = "--store", paramLabel = "DIR", required = true,
            description = "The store: a directory of snapshots.")
    private Path directory;

    @Option(names = "--wait", paramLabel = "SECONDS", defaultValue = "30", description = "How long to wait for another"
            + " process that is changing the store (default: 30). Reading never waits.")
    private long waitSeconds;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    Path directory() {
        return directory;
    }

    /** Opens the store, which must exist. */
    DirectoryStore open(Console console) throws IOException {
        return DirectoryStore.open(console.posix(), directory, options(console));
    }

    /** Opens the store, and makes it if it does not exist. */
    DirectoryStore openOrCreate(Console console) throws IOException {
        return DirectoryStore.openOrCreate(console.posix(), directory, options(console));
    }

    /** Returns options with which a waiting command names the other process, and ends at once on Ctrl-C. */
    StoreOptions options(Console console) {
        if (waitSeconds < 0) {
            throw new ParameterException(spec.commandLine(), "--wait " + waitSeconds + ": not less than 0 seconds");
        }
        boolean[] told = {false};
        return StoreOptions.PRIVATE.waiting(Duration.ofSeconds(waitSeconds), (holder, waited) -> {
            console.interruption().check();
            if (!told[0]) {
                told[0] = true;
                console.remark("waiting for " + holder + ", which is changing the store; for up to " + waitSeconds
                        + " s (--wait)");
            }
        });
    }
}
