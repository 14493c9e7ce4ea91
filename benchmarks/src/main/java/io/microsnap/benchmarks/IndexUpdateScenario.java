package io.microsnap.benchmarks;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/**
 * Brings a copy of a base's page index up to date, checksums and root included; the peer only writes the entries. The
 * copy or clone is made before, on both sides.
 */
final class IndexUpdateScenario implements Scenario {

    private static final int PAGE = 4096;
    private static final long GUEST_BYTES = 64L << 30;
    private static final long PAGES = GUEST_BYTES / PAGE;
    private static final long ENTRIES_AT = PAGE + PAGES / 1024 * Integer.BYTES;
    private static final int PERCENT = 1;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, GUEST_BYTES);

    private final FileSystemKind kind;
    private final int runPages;

    IndexUpdateScenario(FileSystemKind kind, int runPages) {
        this.kind = kind;
        this.runPages = runPages;
    }

    @Override
    public String name() {
        return "index-update/" + kind.name().toLowerCase(Locale.ROOT) + "/runs-of-" + runPages;
    }

    @Override
    public String question() {
        return "the page index of a 64 GiB guest with " + PERCENT + " % of its pages changed in runs of " + runPages
                + ", chunk checksums and root included, beside pwrite of those entries alone";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1.5);
    }

    @Override
    public long workingSetBytes() {
        return 4 * PAGES * Integer.BYTES;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(kind);
        Path base = directory.resolve("base");
        Path ours = directory.resolve("ours");
        Path peers = directory.resolve("peers");
        Posix posix = Posix.host();
        Constants constants = posix.constants();
        try (Descriptor file = Descriptor.open(posix, base, constants.O_CREAT | constants.O_RDWR, 0600);
                PageIndex index = PageIndex.create(file, LAYOUT)) {
            for (long page = 0; page < PAGES; page++) {
                index.set(page, checksum(page, 1));
            }
            index.finish();
            file.sync();
        }
        Descriptor baseFile = workbench.closeLater(Descriptor.open(posix, base, constants.O_RDONLY, 0));
        PageIndex baseIndex = workbench.closeLater(PageIndex.open(baseFile, LAYOUT));
        Descriptor[] file = new Descriptor[1];
        PageIndex[] copy = new PageIndex[1];
        return new Duel(
                Contestant.java(() -> {
                    if (file[0] != null) {
                        file[0].close();
                    }
                    Files.deleteIfExists(ours);
                    int flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
                    file[0] = workbench.closeLater(Descriptor.open(posix, ours, flags, 0600));
                    copy[0] = PageIndex.createFrom(baseIndex, file[0]);
                }, () -> update(copy[0])),
                workbench.peer(IndexUpdateScenario.class, "index_update.c", peers, base, ENTRIES_AT, PAGES, runPages,
                        PERCENT),
                () -> requireSameEntries(ours, peers));
    }

    private void update(PageIndex copy) throws IOException {
        long stride = runPages * 100L / PERCENT;
        try (PageIndex index = copy) {
            for (long first = 0; first + runPages <= PAGES; first += stride) {
                long start = first + (first / stride) % (stride - runPages);
                for (long page = start; page < start + runPages && page < PAGES; page++) {
                    index.set(page, checksum(page, 2));
                }
            }
            index.finish();
        }
    }

    /** What the peer writes is this, XOR the checksum of a page of zeros. */
    private static int checksum(long page, int generation) {
        return (int) (page * 0x9E3779B1L + generation);
    }

    private static void requireSameEntries(Path ours, Path peers) throws IOException {
        ByteBuffer one = ByteBuffer.allocate(1 << 20);
        ByteBuffer two = ByteBuffer.allocate(1 << 20);
        try (FileChannel our = FileChannel.open(ours); FileChannel peer = FileChannel.open(peers)) {
            for (long at = ENTRIES_AT; at < our.size(); at += one.capacity()) {
                our.read(one.clear(), at);
                peer.read(two.clear(), at);
                int difference = one.flip().mismatch(two.flip());
                if (difference >= 0) {
                    throw new IOException("entries differ at byte " + (at + difference));
                }
            }
        }
    }
}
