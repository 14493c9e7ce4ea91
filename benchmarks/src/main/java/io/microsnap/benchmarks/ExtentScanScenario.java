package io.microsnap.benchmarks;

import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** Finding the data of a badly fragmented file. */
final class ExtentScanScenario implements Scenario {

    private static final int EXTENTS = 100_000;
    private static final int PAGE = 4096;

    private final FileSystemKind fileSystem;

    ExtentScanScenario(FileSystemKind fileSystem) {
        this.fileSystem = fileSystem;
    }

    static List<Scenario> all() {
        return List.of(new ExtentScanScenario(FileSystemKind.EXT4), new ExtentScanScenario(FileSystemKind.XFS));
    }

    @Override
    public String name() {
        return "extent-scan/" + fileSystem.name().toLowerCase(Locale.ROOT);
    }

    @Override
    public String question() {
        return "the data ranges of a file with " + EXTENTS + " extents, beside a loop of lseek";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1.15);
    }

    @Override
    public long workingSetBytes() {
        return 2L * EXTENTS * PAGE;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path file = workbench.directory(fileSystem).resolve("file");
        Posix posix = Posix.host();
        Constants constants = posix.constants();
        Descriptor open = workbench.closeLater(
                Descriptor.open(posix, file, constants.O_CREAT | constants.O_RDWR, 0600));
        make(open);
        return new Duel(
                Contestant.java(() -> { }, () -> {
                    long[] found = new long[2];
                    Extents.data(open, (offset, lengthBytes) -> {
                        found[0]++;
                        found[1] += lengthBytes;
                    });
                    if (found[0] != EXTENTS || found[1] != (long) EXTENTS * PAGE) {
                        throw new IOException("found " + found[0] + " extents with " + found[1] + " bytes");
                    }
                }),
                workbench.peer(ExtentScanScenario.class, "extent_scan.c", file, EXTENTS, (long) EXTENTS * PAGE),
                // Each side counts for itself, and fails if it does not find them all.
                () -> { });
    }

    private static void make(Descriptor file) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(PAGE).fill((byte) 1);
            file.truncate(2L * EXTENTS * PAGE);
            // Downwards: allocation ahead of a growing file would fill the holes.
            for (long index = EXTENTS - 1L; index >= 0; index--) {
                file.writeFully(page, (2 * index + 1) * PAGE);
            }
            file.sync();
        }
    }
}
