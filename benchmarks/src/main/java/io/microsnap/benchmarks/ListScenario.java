package io.microsnap.benchmarks;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Lists a large store: every manifest parsed, every file's length checked; the peer only reads the manifests. */
final class ListScenario implements Scenario {

    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(4096, 4096);

    private final int snapshots;

    ListScenario(int snapshots) {
        this.snapshots = snapshots;
    }

    @Override
    public String name() {
        return "list/tmpfs/" + snapshots;
    }

    @Override
    public String question() {
        return "listing " + snapshots + " snapshots, warm, beside reading their manifests in C; at most 1 s is meant";
    }

    @Override
    public Target target() {
        return Target.none();
    }

    @Override
    public long workingSetBytes() {
        return snapshots * (32L << 10);
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path path = workbench.directory(FileSystemKind.TMPFS).resolve("store");
        DirectoryStore store = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), path, StoreOptions.PRIVATE));
        for (int number = 0; number < snapshots; number++) {
            try (StagedSnapshot staged = store.stage(new SnapshotId("snapshot-" + number))) {
                staged.create(SnapshotFiles.MEMORY).truncate(LAYOUT.lengthBytes());
                try (PageIndex index = PageIndex.create(staged.create(SnapshotFiles.PAGE_INDEX), LAYOUT)) {
                    index.finish();
                }
                staged.publish(SnapshotDescription.full(LAYOUT).withImage("debian-13").withLabel("number",
                        Integer.toString(number)));
            }
        }
        return new Duel(
                Contestant.java(() -> { }, () -> {
                    List<SnapshotEntry> entries = store.list();
                    if (entries.size() != snapshots
                            || !entries.stream().allMatch(SnapshotEntry.Whole.class::isInstance)) {
                        throw new IOException("listed " + entries.size() + " of " + snapshots);
                    }
                }),
                workbench.peer(ListScenario.class, "list.c", path, snapshots),
                () -> { });
    }
}
