package io.microsnap.benchmarks;

import io.microsnap.core.internal.file.CopyMethod;
import io.microsnap.core.internal.file.CopyOptions;
import io.microsnap.core.internal.file.CopyStrategy;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.FileCopy;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** A sparse guest image copied so that it survives a power failure, beside what an operator would type. */
final class SparseCopyScenario implements Scenario {

    private static final int EXTENTS = 1000;
    private static final long LENGTH = 4L << 30;
    private static final long DATA = 64L << 20;
    private static final int PAGE = 4096;

    private final FileSystemKind fileSystem;
    private final CopyStrategy strategy;

    SparseCopyScenario(FileSystemKind fileSystem, CopyStrategy strategy) {
        this.fileSystem = fileSystem;
        this.strategy = strategy;
    }

    /** Between files that share nothing, as the peer's do. */
    static List<Scenario> all() {
        return List.of(
                new SparseCopyScenario(FileSystemKind.EXT4, CopyStrategy.SPARSE),
                new SparseCopyScenario(FileSystemKind.XFS, CopyStrategy.UNSHARED),
                new SparseCopyScenario(FileSystemKind.BTRFS, CopyStrategy.UNSHARED));
    }

    @Override
    public String name() {
        return "copy-sparse/" + strategy.name().toLowerCase(Locale.ROOT) + "/"
                + fileSystem.name().toLowerCase(Locale.ROOT);
    }

    @Override
    public String question() {
        return "a 4 GiB file with 64 MiB in " + EXTENTS + " extents, synced with its directory, beside"
                + " cp --sparse=always --reflink=never and sync of both";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1.0);
    }

    @Override
    public long workingSetBytes() {
        return 4 * DATA;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(fileSystem);
        Path source = directory.resolve("source");
        make(source);
        Path ours = directory.resolve("ours");
        Path peers = directory.resolve("peers");
        Posix posix = Posix.host();
        FileCopy files = new FileCopy(new Reflink());
        CopyOptions options = CopyOptions.DEFAULTS.with(strategy);
        return new Duel(
                Contestant.java(() -> Files.deleteIfExists(ours), () -> {
                    if (files.copy(posix, source, ours, options).method() == CopyMethod.ZEROS_LEFT_OUT) {
                        throw new IOException("the filesystem did not tell holes from data");
                    }
                }),
                Contestant.command(() -> Files.deleteIfExists(peers), "sh", "-c",
                        "cp --sparse=always --reflink=never \"$1\" \"$2\" && sync \"$2\" \"$3\"", "sh",
                        source.toString(), peers.toString(), directory.toString()),
                () -> {
                    requireSame(posix, source, ours);
                    requireSame(posix, source, peers);
                });
    }

    /** Extents far apart, so that none joins another; the source is in the page cache. */
    private static void make(Path file) throws IOException {
        Posix posix = Posix.host();
        Constants constants = posix.constants();
        try (Descriptor open = Descriptor.open(posix, file, constants.O_CREAT | constants.O_RDWR, 0600);
                Arena arena = Arena.ofConfined()) {
            open.truncate(LENGTH);
            long pages = DATA / PAGE;
            long done = 0;
            for (int extent = 0; extent < EXTENTS; extent++) {
                long until = pages * (extent + 1) / EXTENTS;
                MemorySegment bytes = arena.allocate((until - done) * PAGE).fill((byte) (1 + extent % 255));
                open.writeFully(bytes, LENGTH / PAGE * extent / EXTENTS * PAGE);
                done = until;
            }
            open.sync();
        }
    }

    /** Reads no holes: that would fill the page cache with eight gigabytes of zeros. */
    private static void requireSame(Posix posix, Path source, Path copy) throws IOException {
        Constants constants = posix.constants();
        try (Descriptor one = Descriptor.open(posix, source, constants.O_RDONLY, 0);
                Descriptor other = Descriptor.open(posix, copy, constants.O_RDONLY, 0);
                Arena arena = Arena.ofConfined()) {
            List<String> expected = ranges(one);
            if (expected.size() != EXTENTS || !ranges(other).equals(expected) || other.sizeBytes() != LENGTH) {
                throw new IOException(copy + " has its data elsewhere than " + source);
            }
            MemorySegment left = arena.allocate(1 << 20);
            MemorySegment right = arena.allocate(1 << 20);
            Extents.data(one, (offset, lengthBytes) -> {
                one.readFully(left.asSlice(0, lengthBytes), offset);
                other.readFully(right.asSlice(0, lengthBytes), offset);
                if (left.asSlice(0, lengthBytes).mismatch(right.asSlice(0, lengthBytes)) >= 0) {
                    throw new IOException(copy + " differs from " + source + " at " + offset);
                }
            });
        }
    }

    private static List<String> ranges(Descriptor file) throws IOException {
        List<String> ranges = new ArrayList<>();
        Extents.data(file, (offset, lengthBytes) -> ranges.add(offset + "+" + lengthBytes));
        return ranges;
    }
}
