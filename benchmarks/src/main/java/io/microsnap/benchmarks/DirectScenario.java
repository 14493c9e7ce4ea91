package io.microsnap.benchmarks;

import io.microsnap.core.IoMode;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.file.Preallocation;
import io.microsnap.core.internal.file.StorageFile;
import io.microsnap.core.internal.file.StorageOptions;
import io.microsnap.core.internal.file.StorageOptions.Existing;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.Capture;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.memory.internal.image.MemoryWriter;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Images written and read past the page cache, beside C that makes requests of the same kind, as large, and with as
 * many in flight; and the check that the cache stayed as it was.
 */
final class DirectScenario implements Scenario {
    private static final SnapshotId ID = new SnapshotId("direct");
    private static final long MOST_LEFT_BYTES = 16L << 20;
    private static final int VECTOR_CALL = 1 << 20;
    private static final int PIECES = 64;

    private final Kind kind;
    private final IoMode mode;
    private final long bytes;

    /** What is done. */
    enum Kind {
        /** Guest memory into a new image, with its index, made durable. */
        BAKE,
        /** An image into memory. */
        RESTORE,
        /** Buffers of 16 KiB, 64 a call, over a warm file. */
        VECTORED
    }

    DirectScenario(Kind kind, IoMode mode, long bytes) {
        this.kind = kind;
        this.mode = mode;
        this.bytes = bytes;
    }

    static List<Scenario> all() {
        List<Scenario> all = new ArrayList<>();
        for (long bytes : new long[] {1L << 28, 1L << 31}) {
            for (Kind kind : List.of(Kind.BAKE, Kind.RESTORE)) {
                all.add(new DirectScenario(kind, IoMode.DIRECT, bytes));
                all.add(new DirectScenario(kind, IoMode.UNCACHED, bytes));
            }
        }
        all.add(new DirectScenario(Kind.VECTORED, IoMode.CACHED, 1L << 28));
        return all;
    }

    @Override
    public String name() {
        return ("direct/" + kind + "/" + mode + "/" + (bytes >> 20)).toLowerCase(Locale.ROOT);
    }

    @Override
    public String question() {
        return switch (kind) {
            case BAKE -> "a guest of " + (bytes >> 20) + " MiB to XFS, " + mode.label() + " and durable, with index";
            case RESTORE -> "a guest of " + (bytes >> 20) + " MiB restored eagerly from XFS, " + mode.label();
            case VECTORED -> "pwritev of 64 buffers of 16 KiB over a warm file of " + (bytes >> 20) + " MiB on XFS";
        };
    }

    @Override
    public Target target() {
        return kind == Kind.VECTORED ? Target.speedAtLeast(0.95) : Target.timeAtMost(1.15);
    }

    @Override
    public long workingSetBytes() {
        return 3 * bytes;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(FileSystemKind.XFS);
        Guest guest = Guest.full(workbench, bytes);
        return switch (kind) {
            case BAKE -> bake(workbench, directory, guest);
            case RESTORE -> restore(workbench, directory, guest);
            case VECTORED -> vectored(workbench, directory, guest);
        };
    }

    /** Through the page cache a file takes one request at a time. */
    private int inFlight(boolean writes) {
        return mode == IoMode.DIRECT || !writes ? 2 : 1;
    }

    private String peersMode() {
        return switch (mode) {
            case DIRECT -> "direct";
            case UNCACHED -> "dontcache";
            case CACHED -> "cached";
        };
    }

    private Duel bake(Workbench workbench, Path directory, Guest guest) throws Exception {
        Path ours = directory.resolve("ours");
        Path peers = directory.resolve("peers");
        return new Duel(Contestant.java(() -> Files.deleteIfExists(ours), () -> capture(guest, ours, directory)),
                workbench.peer(DirectScenario.class, "direct.c", "bake", peers, bytes, peersMode(), inFlight(true),
                        guest.path()),
                () -> {
                    requireNotCached(ours);
                    requireContent(ours, guest);
                    requireContent(peers, guest);
                    Files.delete(ours);
                });
    }

    private void capture(Guest guest, Path image, Path directory) throws IOException {
        Posix posix = Posix.host();
        Path indexPath = directory.resolve("index");
        int flags = posix.constants().O_RDWR | posix.constants().O_CREAT | posix.constants().O_TRUNC;
        try (StorageFile storage = StorageFile.open(
                        posix, image, StorageOptions.WRITE.with(mode).with(Existing.REFUSED));
                Descriptor indexFile = Descriptor.open(posix, indexPath, flags, 0600);
                PageIndex index = PageIndex.create(indexFile, guest.layout())) {
            storage.resize(bytes, Preallocation.NONE);
            MemoryWriter.into(storage.descriptor(), guest.layout()).through(storage).index(index).threads(2)
                    .startingAsZeros().everything(guest.reader());
            index.finish();
            storage.sync();
        }
    }

    private Duel restore(Workbench workbench, Path directory, Guest guest) throws Exception {
        DirectoryStore store = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE));
        Capture.of(store, ID, guest.reader()).io(mode).threads(2).take(PausableMachine.pausedAlready(List.of()));
        Path image = directory.resolve("store").resolve(ID.name()).resolve("memory.img");
        List<RestoredSnapshot> copies = new ArrayList<>();
        return new Duel(Contestant.java(() -> close(copies), () -> copies.add(
                        Restore.of(store, ID).io(mode).threads(2).restore(RestoreEngine.EAGER))),
                workbench.peer(DirectScenario.class, "direct.c", "restore", image, bytes, "direct", inFlight(false),
                        "-"),
                () -> {
                    requireNotCached(image);
                    if (copies.getFirst().memory().mapping(0).mismatch(guest.memory()) >= 0) {
                        throw new IOException("the restored memory is not the guest's");
                    }
                    close(copies);
                });
    }

    private static void close(List<RestoredSnapshot> copies) throws IOException {
        for (RestoredSnapshot copy : copies) {
            copy.close();
        }
        copies.clear();
    }

    private Duel vectored(Workbench workbench, Path directory, Guest guest) throws Exception {
        Path ours = directory.resolve("ours");
        Path peers = directory.resolve("peers");
        StorageFile storage = workbench.closeLater(StorageFile.open(
                Posix.host(), ours, StorageOptions.WRITE.with(mode).with(Existing.REFUSED)));
        List<List<MemorySegment>> calls = new ArrayList<>();
        for (long offset = 0; offset < bytes; offset += VECTOR_CALL) {
            List<MemorySegment> pieces = new ArrayList<>();
            for (int piece = 0; piece < PIECES; piece++) {
                pieces.add(guest.memory().asSlice(
                        offset + (long) piece * (VECTOR_CALL / PIECES), VECTOR_CALL / PIECES));
            }
            calls.add(List.copyOf(pieces));
        }
        Duel.Action write = () -> {
            for (int call = 0; call < calls.size(); call++) {
                storage.write(calls.get(call), (long) call * VECTOR_CALL);
            }
        };
        Workbench.warmUp(write);
        return new Duel(Contestant.java(() -> { }, write),
                workbench.peer(DirectScenario.class, "direct.c", "vectored", peers, bytes, peersMode(), 1,
                        guest.path()),
                () -> {
                    requireContent(ours, guest);
                    requireContent(peers, guest);
                });
    }

    private void requireContent(Path file, Guest guest) throws IOException {
        try (StorageFile storage = StorageFile.open(Posix.host(), file, StorageOptions.READ.with(IoMode.DIRECT));
                Arena arena = Arena.ofConfined()) {
            MemorySegment piece = arena.allocate(4 << 20, 4096);
            for (long offset = 0; offset < bytes; offset += piece.byteSize()) {
                storage.read(piece, offset);
                if (piece.mismatch(guest.memory().asSlice(offset, piece.byteSize())) >= 0) {
                    throw new IOException(file + " differs from the guest in the 4 MiB from " + offset);
                }
            }
        }
    }

    private static void requireNotCached(Path file) throws IOException {
        Posix posix = Posix.host();
        try (Descriptor open = Descriptor.open(posix, file, posix.constants().O_RDONLY, 0);
                Mapping mapping = Mapping.file(open, 0, open.sizeBytes(), Access.SHARED_READ);
                Arena arena = Arena.ofConfined()) {
            MemorySegment residency = arena.allocate(mapping.lengthBytes() / 4096);
            open.check("mincore", posix.mincore(mapping.segment().address(), mapping.lengthBytes(), residency), "");
            long resident = 0;
            for (long page = 0; page < residency.byteSize(); page++) {
                resident += (residency.get(ValueLayout.JAVA_BYTE, page) & 1) * 4096L;
            }
            if (resident > MOST_LEFT_BYTES) {
                throw new IOException(resident + " bytes of " + file + " are in the page cache");
            }
        }
    }
}
