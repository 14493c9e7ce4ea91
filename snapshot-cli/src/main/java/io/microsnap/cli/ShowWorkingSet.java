package io.microsnap.cli;

import io.microsnap.store.WorkingSet;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "working-set",
        mixinStandardHelpOptions = true,
        description = "Shows which part of a snapshot its restored guests touch first, from recordings: a lazy"
                + " restore reads that part ahead. VM managers record it through the library.",
        footerHeading = "%n",
        footer = "Example: microsnap working-set --store /var/lib/snapshots --id base-1")
final class ShowWorkingSet extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Option(names = "--clear", description = "Remove it, even if it is damaged. The next recording starts a new one.")
    private boolean clear;

    @Override
    int run(Console console) throws IOException {
        try (DirectoryStore open = store.open(console)) {
            if (clear) {
                boolean cleared = open.clearWorkingSet(snapshot.id());
                console.report(new Document().put("id", snapshot.id()).put("cleared", cleared));
                console.say(snapshot.id() + (cleared ? ": its working set is removed" : ": had no working set"));
                return ExitStatus.OK;
            }
            show(console, open.inspect(snapshot.id()).layout().lengthBytes(), open.workingSet(snapshot.id()));
        }
        return ExitStatus.OK;
    }

    private void show(Console console, long imageBytes, Optional<WorkingSet> found) {
        Document document = new Document().put("id", snapshot.id());
        if (found.isEmpty()) {
            console.report(document.put("working_set", null));
            console.say(snapshot.id() + ": no working set was recorded; a restore reads nothing ahead");
            return;
        }
        WorkingSet set = found.get();
        double coverage = (double) set.lengthBytes() / imageBytes;
        console.report(document.put("working_set", new Document().put("pages", set.pages())
                .put("size_bytes", set.lengthBytes()).put("coverage", coverage).put("recordings", set.recordings())
                .put("recorded", set.recorded().truncatedTo(ChronoUnit.SECONDS))));
        console.say("size        " + Sizes.bytes(set.lengthBytes()) + " in " + set.pages() + " pages");
        console.say(String.format(Locale.ROOT, "coverage    %.1f %% of the guest's memory", 100 * coverage));
        console.say("recordings  " + set.recordings() + (set.recordings() == 8 ? " or more" : ""));
        console.say("recorded    " + set.recorded().truncatedTo(ChronoUnit.SECONDS) + ", "
                + Sizes.time(Duration.between(set.recorded(), Instant.now())) + " ago");
    }
}
