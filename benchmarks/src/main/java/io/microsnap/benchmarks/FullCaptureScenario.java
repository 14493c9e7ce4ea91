package io.microsnap.benchmarks;

import io.microsnap.memory.internal.image.MemoryWriter;
import io.microsnap.memory.internal.image.Zeros;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Locale;

/** A guest written whole, beside a loop that writes all of the same RAM in 4 MiB calls. */
final class FullCaptureScenario implements Scenario {
    /** Enough for the threads to be started and each to take several steps. */
    private static final long BYTES_TO_WARM_UP = 64L << 20;

    private final Kind kind;
    private final FileSystemKind fileSystem;
    private final long bytes;

    /** What is captured, and with what. */
    enum Kind {
        DENSE("without index, nothing left out", 0.95, 1),
        INDEXED("with index and zero check in one thread", 0.75, 1),
        SPARSE("of which 80 % was never populated, with index and zero check, in two threads", 4, 2);

        private final String what;
        private final double leastSpeed;
        private final int threads;

        Kind(String what, double leastSpeed, int threads) {
            this.what = what;
            this.leastSpeed = leastSpeed;
            this.threads = threads;
        }
    }

    FullCaptureScenario(Kind kind, FileSystemKind fileSystem, long bytes) {
        this.kind = kind;
        this.fileSystem = fileSystem;
        this.bytes = bytes;
    }

    @Override
    public String name() {
        return ("full/" + kind + "/" + fileSystem + "/" + Sizes.name(bytes)).toLowerCase(Locale.ROOT);
    }

    @Override
    public String question() {
        return "a guest of " + (bytes >> 20) + " MiB " + kind.what + ", to the page cache";
    }

    @Override
    public Target target() {
        return Target.speedAtLeast(kind.leastSpeed);
    }

    @Override
    public long workingSetBytes() {
        return 4 * bytes;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(fileSystem);
        Path peers = directory.resolve("peers");
        Guest guest = kind == Kind.SPARSE ? Guest.empty(workbench, bytes) : Guest.full(workbench, bytes);
        if (kind == Kind.SPARSE) {
            // A fifth of the guest, in runs of 1 MiB.
            for (long offset = 0; offset < bytes; offset += 5 << 20) {
                guest.fill(offset, Math.min(1 << 20, bytes - offset));
            }
        }
        Images images = workbench.closeLater(new Images(directory));
        Guest small = Guest.full(workbench, BYTES_TO_WARM_UP);
        return new Duel(
                Contestant.java(() -> images.renew(bytes), () -> capture(guest, images)),
                workbench.peer(FullCaptureScenario.class, "guest_memory.c", "full", peers, bytes,
                        kind == Kind.SPARSE ? "-" : guest.path()),
                () -> check(guest, images, peers))
                .warmedBy(() -> Workbench.warmUp(() -> {
                    images.renew(BYTES_TO_WARM_UP);
                    capture(small, images);
                }));
    }

    private void capture(Guest guest, Images images) throws IOException {
        MemoryWriter.Builder writer = MemoryWriter.into(images.image(), guest.layout()).threads(kind.threads);
        if (kind == Kind.DENSE) {
            writer.zeros(Zeros.DENSE).startingAsZeros().everything(guest.reader());
            return;
        }
        try (PageIndex index = PageIndex.create(images.index(), guest.layout())) {
            writer.index(index).startingAsZeros().everything(guest.reader());
            index.finish();
        }
    }

    private void check(Guest guest, Images images, Path peers) throws IOException {
        if (kind != Kind.SPARSE) {
            images.requireSame(peers);
            return;
        }
        // The peer's guest has every page; ours is held against its own memory.
        MemorySegment content = Arena.ofAuto().allocate(5 << 20);
        for (long offset = 0; offset < bytes; offset += content.byteSize()) {
            MemorySegment piece = content.asSlice(0, Math.min(content.byteSize(), bytes - offset));
            images.image().readFully(piece, offset);
            if (piece.mismatch(guest.memory().asSlice(offset, piece.byteSize())) >= 0) {
                throw new IOException("our image differs from the guest in the 5 MiB from " + offset);
            }
        }
        images.remove(peers);
    }
}
