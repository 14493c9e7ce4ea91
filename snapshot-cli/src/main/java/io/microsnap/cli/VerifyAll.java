package io.microsnap.cli;

import io.microsnap.core.CancelledException;
import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotId;
import io.microsnap.memory.Verification;
import io.microsnap.store.MissingBaseException;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "verify",
        mixinStandardHelpOptions = true,
        description = "Reads every page and file of a snapshot, or of all snapshots, and checks them against their"
                + " checksums.",
        footerHeading = "%n",
        footer = "Example: microsnap verify --store /var/lib/snapshots --id base-1")
final class VerifyAll extends CliCommand {
    @Mixin
    private StoreLocation store;

    @Option(names = "--id", paramLabel = "ID", description = "The snapshot's name; without it all snapshots of the"
            + " store.")
    private SnapshotId id;

    @Override
    int run(Console console) throws IOException {
        List<Document> documents = new ArrayList<>();
        int status = ExitStatus.OK;
        try (DirectoryStore open = store.open(console)) {
            if (id != null) {
                status = verify(console, open, id, documents);
            } else {
                for (SnapshotEntry entry : open.list()) {
                    int one = switch (entry) {
                        case SnapshotEntry.Whole whole -> oneOfAll(console, open, whole.manifest().id(), documents);
                        case SnapshotEntry.Damaged damaged ->
                                damaged(console, damaged.name(), damaged.reason(), documents);
                        case SnapshotEntry.Unreadable unreadable ->
                                unreadable(console, unreadable.name(), unreadable.reason(), documents);
                    };
                    status = Math.max(status, one);
                }
            }
        }
        console.report(new Document().put("ok", status == ExitStatus.OK).put("snapshots", documents));
        return status;
    }

    /** Verifies one of all snapshots. A failure does not stop the verification of the others. */
    private static int oneOfAll(Console console, DirectoryStore open, SnapshotId snapshot, List<Document> documents)
            throws IOException {
        try {
            return verify(console, open, snapshot, documents);
        } catch (CancelledException stopped) {
            throw stopped;
        } catch (NoSuchFileException gone) {
            console.remark(snapshot + ": was deleted meanwhile");
            return ExitStatus.OK;
        } catch (IOException failure) {
            return unreadable(console, snapshot.name(), Failure.of(failure).message(), documents);
        }
    }

    private static int unreadable(Console console, String name, String reason, List<Document> documents) {
        documents.add(notVerified(name, "unreadable", reason));
        console.say(name + ": COULD NOT BE READ, " + reason);
        return ExitStatus.FAILED;
    }

    private static int verify(Console console, DirectoryStore open, SnapshotId snapshot, List<Document> documents)
            throws IOException {
        Verification verification;
        try (StoredSnapshot held = open.hold(snapshot);
                ProgressLine progress = console.progress("verify " + snapshot)) {
            int threads = Runtime.getRuntime().availableProcessors();
            verification = Verification.of(held, threads, progress);
        } catch (DamagedException | MissingBaseException failure) {
            return damaged(console, snapshot.name(), failure.getMessage(), documents);
        }
        List<Document> bad = new ArrayList<>();
        for (Verification.BadPage page : verification.firstBad()) {
            bad.add(new Document().put("image_offset", page.imageOffset()).put("guest_address", page.guestAddress())
                    .put("held_by", page.heldBy()));
        }
        documents.add(new Document().put("id", snapshot).put("ok", verification.isWhole())
                .put("outcome", verification.isWhole() ? "whole" : "damaged")
                .put("pages", verification.pages()).put("bad_pages", verification.badCount())
                .put("first_bad", bad).put("reason", null));
        if (verification.isWhole()) {
            console.say(snapshot + ": whole, " + verification.pages() + " pages");
            return ExitStatus.OK;
        }
        console.say(snapshot + ": DAMAGED, " + verification.badCount() + " of " + verification.pages() + " pages");
        for (Verification.BadPage page : verification.firstBad()) {
            console.say(String.format("  at image offset %d, guest address 0x%x, held by %s",
                    page.imageOffset(), page.guestAddress(), page.heldBy()));
        }
        return ExitStatus.DAMAGED;
    }

    private static int damaged(Console console, String name, String reason, List<Document> documents) {
        documents.add(notVerified(name, "damaged", reason));
        console.say(name + ": DAMAGED, " + reason);
        return ExitStatus.DAMAGED;
    }

    private static Document notVerified(String name, String outcome, String reason) {
        return new Document().put("id", name).put("ok", false).put("outcome", outcome).put("pages", null)
                .put("bad_pages", null)
                .put("first_bad", List.of()).put("reason", reason);
    }
}
