package io.microsnap.benchmarks;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/** What a publication costs beyond the syncs it cannot do without: the peer makes those calls and no others. */
final class PublishScenario implements Scenario {

    private static final int PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 8L << 20);
    private static final int MACHINE_BYTES = 16 << 10;

    private final FileSystemKind kind;

    PublishScenario(FileSystemKind kind) {
        this.kind = kind;
    }

    @Override
    public String name() {
        return "publish/" + kind.name().toLowerCase(Locale.ROOT);
    }

    @Override
    public String question() {
        return "publishing a staged snapshot of 8 MiB, beside its syncs and rename alone; at most 5 ms more are meant";
    }

    @Override
    public Target target() {
        return Target.none();
    }

    @Override
    public long workingSetBytes() {
        return 64L << 20;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(kind);
        DirectoryStore store = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE));
        Path peers = Files.createDirectory(directory.resolve("peers"));
        SnapshotId id = new SnapshotId("ours");
        StagedSnapshot[] staged = new StagedSnapshot[1];
        return new Duel(
                Contestant.java(() -> {
                    if (staged[0] != null) {
                        staged[0].close();
                        store.delete(id);
                    }
                    staged[0] = workbench.closeLater(store.stage(id));
                    fill(staged[0]);
                }, () -> staged[0].publish(SnapshotDescription.full(LAYOUT))),
                workbench.peer(PublishScenario.class, "publish.c", peers, LAYOUT.lengthBytes(), MACHINE_BYTES),
                () -> {
                    if (store.inspect(id).layout().lengthBytes() != Files.size(peers.resolve("published/memory.img"))) {
                        throw new IOException("not the same was published");
                    }
                });
    }

    private static void fill(StagedSnapshot staged) throws IOException {
        try (Arena arena = Arena.ofConfined();
                PageIndex index = PageIndex.create(staged.create(SnapshotFiles.PAGE_INDEX), LAYOUT)) {
            MemorySegment bytes = arena.allocate(LAYOUT.lengthBytes()).fill((byte) 0x5a);
            staged.create(SnapshotFiles.MEMORY).writeFully(bytes, 0);
            for (long page = 0; page < LAYOUT.pageCount(); page++) {
                index.set(page, 42);
            }
            index.finish();
            Descriptor machine = staged.create(SnapshotFiles.MACHINE);
            machine.writeFully(bytes.asSlice(0, MACHINE_BYTES), 0);
        }
    }
}
