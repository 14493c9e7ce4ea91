package io.microsnap.benchmarks;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dedup.Accounting;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.memory.Capture;
import io.microsnap.memory.internal.reader.FileMemoryReader;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** Shares the equal pages of a fresh snapshot with its sibling: the two have indexes, and options are the defaults. */
final class DedupStoredScenario implements Scenario {
    private static final int PAGE = 4096;
    private static final SnapshotId CANONICAL = new SnapshotId("canonical");
    private static final SnapshotId FRESH = new SnapshotId("fresh");

    private final FileSystemKind kind;
    private final long bytes;
    private final Target target;

    DedupStoredScenario(FileSystemKind kind, long bytes, double speed) {
        this.kind = kind;
        this.bytes = bytes;
        this.target = Target.speedAtLeast(speed);
    }

    @Override
    public String name() {
        return "dedup/" + kind.name().toLowerCase(Locale.ROOT) + "/" + Sizes.name(bytes) + "/stored";
    }

    @Override
    public String question() {
        return Unit.BYTES.text(bytes) + " of which " + DedupScenario.DIFFERING_PERCENT
                + " % differ in runs, two warm snapshots"
                + " of a store, beside clone, compare with the clone, write what differs";
    }

    @Override
    public Target target() {
        return target;
    }

    @Override
    public long workingSetBytes() {
        return 4 * bytes;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(kind);
        DedupImages images = DedupImages.make(
                directory, bytes, DedupScenario.RUN_BYTES, DedupScenario.DIFFERING_PERCENT);
        Path storePath = directory.resolve("store");
        DirectoryStore store = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), storePath, StoreOptions.PRIVATE));
        bake(store, CANONICAL, images.canonical());
        Files.delete(images.canonical());
        Path canonical = storePath.resolve(CANONICAL.toString()).resolve(SnapshotFiles.MEMORY);
        Deduplicator deduplicator = new Deduplicator(store);
        DedupOptions options = DedupOptions.DEFAULTS.with(Accounting.PAGES);
        Path peers = directory.resolve("peers");
        Path fresh = storePath.resolve(FRESH.toString()).resolve(SnapshotFiles.MEMORY);
        return new Duel(
                Contestant.java(() -> {
                    if (Files.exists(fresh)) {
                        store.delete(FRESH);
                    }
                    bake(store, FRESH, images.pristine());
                    DedupImages.readThrough(fresh);
                    DedupImages.readThrough(canonical);
                }, () -> DedupScenario.report(deduplicator.deduplicate(FRESH, CANONICAL, options))),
                workbench.peer(DedupScenario.class, "clone_and_diff.c", canonical, images.pristine(), peers),
                () -> {
                    images.requireSame(fresh);
                    images.requireSame(peers);
                });
    }

    private static void bake(DirectoryStore store, SnapshotId id, Path image) throws IOException {
        Posix posix = Posix.host();
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, Files.size(image));
        try (Descriptor open = Descriptor.open(posix, image, posix.constants().O_RDONLY, 0)) {
            Capture.of(store, id, FileMemoryReader.of(open, layout)).withoutSharing()
                    .take(PausableMachine.pausedAlready(List.of()));
        }
    }
}
