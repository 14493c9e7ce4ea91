package io.microsnap.benchmarks;

import io.microsnap.core.PageReader;
import io.microsnap.core.internal.work.Workers;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.memory.internal.image.MemoryWriter;
import io.microsnap.memory.internal.image.Zeros;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/**
 * The dirty runs of a guest into a sparse diff or into a clone of its base, with index and page map, beside a program
 * that makes one write a run and keeps neither; or beside the way of the reference writer.
 */
final class DirtyCaptureScenario implements Scenario {
    private static final int THREADS = 2;

    private final Kind kind;
    private final FileSystemKind fileSystem;
    private final long bytes;
    private final long perMille;
    private final long runPages;

    /** Into what, and beside whom. */
    enum Kind {
        DIFF, CLONE, INDEXED, INDEXED_CLONE, REFERENCE, DURABLE;

        boolean clones() {
            return this == CLONE || this == INDEXED_CLONE;
        }
    }

    DirtyCaptureScenario(Kind kind, FileSystemKind fileSystem, long bytes, long perMille, long runPages) {
        this.kind = kind;
        this.fileSystem = fileSystem;
        this.bytes = bytes;
        this.perMille = perMille;
        this.runPages = runPages;
    }

    @Override
    public String name() {
        return String.format(Locale.ROOT, "dirty/%s/%s/%s/%d%%/%d", kind, fileSystem, Sizes.name(bytes), perMille / 10,
                runPages).toLowerCase(Locale.ROOT).replace('_', '-');
    }

    @Override
    public String question() {
        return perMille / 10 + " % of " + (bytes >> 20) + " MiB in runs of " + runPages
                + " pages, index and map included, in " + THREADS + " threads, " + switch (kind) {
                    case DIFF -> "to a sparse diff; the peer makes one write a run";
                    case CLONE -> "onto a clone of the base; the peer makes one write a run";
                    case INDEXED_CLONE -> "onto a clone of the base; the peer makes one write a run and keeps the"
                            + " checksums as well";
                    case INDEXED -> "to a sparse diff; the peer makes one write a run and keeps the checksums as well";
                    case DURABLE -> "to a sparse diff that is durable in the end; the peer makes one write a run";
                    case REFERENCE -> "to a sparse diff; the peer copies, seeks and writes a page at a time";
                };
    }

    /** The peers that keep no index are shown, and none of them is a target: a peer with an index is. */
    @Override
    public Target target() {
        if (kind == Kind.REFERENCE) {
            return Target.speedAtLeast(runPages == 1 ? 1.0 : 1.5);
        }
        return kind == Kind.INDEXED || kind == Kind.INDEXED_CLONE ? Target.timeAtMost(1.15) : Target.none();
    }

    @Override
    public long workingSetBytes() {
        return bytes / 4;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(fileSystem);
        Path peers = directory.resolve("peers");
        Guest guest = Guest.full(workbench, bytes);
        DirtyBitmap dirty = guest.dirty(runPages, perMille);
        Images baseFiles = workbench.closeLater(new Images(Files.createDirectory(
                directory.resolve("base"))));
        baseFiles.renew(bytes);
        PageIndex baseIndex = workbench.closeLater(PageIndex.create(baseFiles.index(), guest.layout()));
        if (kind.clones()) {
            MemoryWriter.into(baseFiles.image(), guest.layout()).zeros(Zeros.DENSE).startingAsZeros()
                    .everything(guest.reader());
            baseFiles.image().sync();
        }
        baseIndex.finish();
        Images images = workbench.closeLater(new Images(directory));
        Staged staged = workbench.closeLater(new Staged(guest, images, baseFiles.path(), baseIndex));
        return new Duel(
                Contestant.java(staged::prepare, () -> staged.capture(dirty)),
                workbench.peer(DirtyCaptureScenario.class, "guest_memory.c",
                        job(), peers, bytes, guest.path(), runPages, perMille,
                        kind.clones() ? baseFiles.path() : "-"),
                () -> {
                    staged.settle();
                    images.requireSame(peers, dirty);
                }).warmedBy(() -> Workbench.warmUp(() -> {
                    staged.prepare();
                    staged.capture(dirty);
                }));
    }

    private String job() {
        return switch (kind) {
            case DIFF, CLONE -> "dirty";
            case INDEXED, INDEXED_CLONE -> "indexed";
            case REFERENCE -> "reference";
            case DURABLE -> "durable";
        };
    }

    /** As a prepared capture has it: image, index and map ready, the base's index read, threads awake. */
    private final class Staged implements AutoCloseable {
        private final Guest guest;
        private final PageReader reader;
        private final Images images;
        private final Path base;
        private final PageIndex baseIndex;
        private PageIndex index;
        private PageMap map;
        private Workers workers;
        private MemoryWriter writer;

        Staged(Guest guest, Images images, Path base, PageIndex baseIndex) {
            this.guest = guest;
            reader = guest.reader();
            this.images = images;
            this.base = base;
            this.baseIndex = baseIndex;
        }

        void prepare() throws IOException {
            close();
            if (kind.clones()) {
                images.renewFrom(base);
            } else {
                images.renew(bytes);
            }
            index = PageIndex.createFrom(baseIndex, images.index());
            index.load(0, guest.layout().pageCount());
            index.populate(0, guest.layout().pageCount());
            map = PageMap.create(images.map(), guest.layout());
            map.populate(0, guest.layout().pageCount());
            workers = Workers.started("capture", THREADS - 1);
            MemoryWriter.Builder builder = MemoryWriter.into(images.image(), guest.layout())
                    .index(index).map(map).workers(workers);
            writer = kind.clones() ? builder.startingAsBase() : builder.startingAsZeros();
            workers.rouse();
        }

        void capture(DirtyBitmap dirty) throws IOException {
            writer.dirty(reader, dirty);
            index.finish();
            map.finish();
            if (kind == Kind.DURABLE) {
                settle();
                images.image().sync();
            }
        }

        void settle() throws IOException {
            writer.punchZeros();
        }

        @Override
        public void close() throws IOException {
            if (index != null) {
                index.close();
                map.close();
                workers.close();
            }
            index = null;
        }
    }
}
