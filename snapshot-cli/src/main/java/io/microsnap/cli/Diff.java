package io.microsnap.cli;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "diff",
        mixinStandardHelpOptions = true,
        description = "Lists which pages of two snapshots differ, from their page indexes: memory itself is not read.",
        footerHeading = "%n",
        footer = "Example: microsnap diff --store /var/lib/snapshots --id base-1 --with base-2")
final class Diff extends CliCommand {
    private static final long ENTRIES = 64 << 10;
    private static final int MOST_RUNS_SHOWN = 20;

    @Mixin
    private StoreLocation store;

    @Mixin
    private SnapshotArgument snapshot;

    @Option(names = "--with", paramLabel = "ID", required = true, description = "The snapshot to compare with.")
    private SnapshotId other;

    @Override
    int run(Console console) throws IOException {
        try (DirectoryStore open = store.open(console); StoredSnapshot left = open.hold(snapshot.id());
                StoredSnapshot right = open.hold(other)) {
            if (!left.layout().equals(right.layout())) {
                throw new SnapshotException(snapshot.id() + " has " + left.layout() + ", but " + other + " has "
                        + right.layout() + ": their pages cannot be compared");
            }
            show(console, left, right);
        }
        return ExitStatus.OK;
    }

    private void show(Console console, StoredSnapshot left, StoredSnapshot right) throws IOException {
        GuestLayout layout = left.layout();
        int pageBytes = layout.pageBytes();
        List<Document> regions = new ArrayList<>();
        long all = 0;
        for (int index = 0; index < layout.regions().size(); index++) {
            Region region = layout.regions().get(index);
            long offset = layout.imageOffset(index);
            Runs runs = new Runs(region.guestAddress(), pageBytes);
            differing(left.pageIndex(), right.pageIndex(), offset / pageBytes,
                    Math.ceilDiv(region.lengthBytes(), pageBytes), runs);
            all += runs.pages;
            regions.add(new Document().put("guest_address", region.guestAddress())
                    .put("length_bytes", region.lengthBytes()).put("pages", runs.pages).put("runs", runs.documents));
            console.say(String.format("region 0x%x (%s): %d pages differ, in %d runs", region.guestAddress(),
                    Sizes.bytes(region.lengthBytes()), runs.pages, runs.documents.size()));
            runs.lines.forEach(console::say);
            if (runs.documents.size() > runs.lines.size()) {
                console.say("  and " + (runs.documents.size() - runs.lines.size()) + " runs more; --json lists all");
            }
        }
        console.report(new Document().put("id", snapshot.id()).put("with", other).put("page_bytes", pageBytes)
                .put("pages", all).put("regions", regions));
    }

    /** Collects runs of pages, given by page within the region. */
    private static final class Runs implements RangeConsumer {
        private final long guestAddress;
        private final int pageBytes;
        private final List<Document> documents = new ArrayList<>();
        private final List<String> lines = new ArrayList<>();
        private long pages;

        Runs(long guestAddress, int pageBytes) {
            this.guestAddress = guestAddress;
            this.pageBytes = pageBytes;
        }

        @Override
        public void accept(long firstPage, long count) {
            long address = guestAddress + firstPage * pageBytes;
            pages += count;
            documents.add(new Document().put("guest_address", address).put("pages", count));
            if (lines.size() < MOST_RUNS_SHOWN) {
                lines.add(String.format("  0x%x: %d pages", address, count));
            }
        }
    }

    private static void differing(PageIndex left, PageIndex right, long firstPage, long pages, RangeConsumer runs)
            throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment leftEntries = arena.allocate(ENTRIES * Integer.BYTES, Integer.BYTES);
            MemorySegment rightEntries = arena.allocate(ENTRIES * Integer.BYTES, Integer.BYTES);
            long start = -1;
            for (long done = 0; done < pages; done += ENTRIES) {
                long count = Math.min(ENTRIES, pages - done);
                left.crcs(firstPage + done, leftEntries.asSlice(0, count * Integer.BYTES));
                right.crcs(firstPage + done, rightEntries.asSlice(0, count * Integer.BYTES));
                for (long entry = 0; entry < count; entry++) {
                    boolean differs = leftEntries.getAtIndex(ValueLayout.JAVA_INT, entry)
                            != rightEntries.getAtIndex(ValueLayout.JAVA_INT, entry);
                    if (differs && start < 0) {
                        start = done + entry;
                    } else if (!differs && start >= 0) {
                        runs.accept(start, done + entry - start);
                        start = -1;
                    }
                }
            }
            if (start >= 0) {
                runs.accept(start, pages - start);
            }
        }
    }
}
