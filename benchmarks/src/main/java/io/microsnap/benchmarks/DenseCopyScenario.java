package io.microsnap.benchmarks;

import io.microsnap.core.internal.file.CopyOptions;
import io.microsnap.core.internal.file.CopyStrategy;
import io.microsnap.core.internal.file.Durability;
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
import java.util.List;
import java.util.Locale;

/** What staging, renaming and watching the source add to the kernel's own copying. */
final class DenseCopyScenario implements Scenario {

    private final FileSystemKind fileSystem;
    private final long bytes;

    DenseCopyScenario(FileSystemKind fileSystem, long bytes) {
        this.fileSystem = fileSystem;
        this.bytes = bytes;
    }

    /** Where copy_file_range really copies; XFS and Btrfs answer it with a clone. */
    static List<Scenario> all() {
        return List.of(new DenseCopyScenario(FileSystemKind.EXT4, Sizes.GIB),
                new DenseCopyScenario(FileSystemKind.TMPFS, Sizes.GIB));
    }

    @Override
    public String name() {
        return "copy-dense/" + fileSystem.name().toLowerCase(Locale.ROOT) + "/" + Sizes.name(bytes);
    }

    @Override
    public String question() {
        return Unit.BYTES.text(bytes) + " without holes into the page cache, beside a loop of copy_file_range";
    }

    @Override
    public Target target() {
        return Target.speedAtLeast(0.95);
    }

    @Override
    public long workingSetBytes() {
        return 3 * bytes;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(fileSystem);
        Path source = directory.resolve("source");
        Path ours = directory.resolve("ours");
        Path peers = directory.resolve("peers");
        make(source);
        Posix posix = Posix.host();
        FileCopy files = new FileCopy(new Reflink());
        CopyOptions options = CopyOptions.DEFAULTS.with(CopyStrategy.SPARSE).with(Durability.NONE);
        return new Duel(
                Contestant.java(() -> Files.deleteIfExists(ours), () -> files.copy(posix, source, ours, options)),
                workbench.peer(DenseCopyScenario.class, "dense_copy.c", source, peers),
                () -> {
                    if (Files.mismatch(source, ours) >= 0 || Files.mismatch(source, peers) >= 0) {
                        throw new IOException("a copy differs from its source");
                    }
                });
    }

    private void make(Path file) throws IOException {
        Posix posix = Posix.host();
        Constants constants = posix.constants();
        try (Descriptor open = Descriptor.open(posix, file, constants.O_CREAT | constants.O_RDWR, 0600);
                Arena arena = Arena.ofConfined()) {
            MemorySegment chunk = arena.allocate(1 << 20);
            for (long offset = 0; offset < bytes; offset += chunk.byteSize()) {
                chunk.fill((byte) (1 + offset / chunk.byteSize() % 255));
                open.writeFully(chunk, offset);
            }
            open.sync();
        }
    }
}
