package io.microsnap.benchmarks;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.testsupport.FileSystemKind;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;

/** What our way to a system call costs where it is called most often: a page at a time into a warm page cache. */
final class SmallWriteScenario implements Scenario {

    private static final int PAGE = 4096;
    // One pass is over before the machine has settled.
    private static final int PASSES = 16;

    private final long fileBytes;

    SmallWriteScenario(long fileBytes) {
        this.fileBytes = fileBytes;
    }

    @Override
    public String name() {
        return "small-write/tmpfs/" + Sizes.name(fileBytes);
    }

    @Override
    public String question() {
        return "pwrite of 4 KiB at a time over a warm file of " + (fileBytes >> 20) + " MiB, " + PASSES
                + " times, errno captured";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1.10);
    }

    @Override
    public long workingSetBytes() {
        return 2 * fileBytes;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Path directory = workbench.directory(FileSystemKind.TMPFS);
        Path ours = directory.resolve("ours");
        Path peers = directory.resolve("peers");

        Posix posix = Posix.host();
        Constants constants = posix.constants();
        Arena arena = workbench.closeLater(Arena.ofShared());
        MemorySegment page = arena.allocate(PAGE, PAGE).fill((byte) 0x5a);
        Descriptor file = workbench.closeLater(
                Descriptor.open(posix, ours, constants.O_CREAT | constants.O_WRONLY, 0600));

        return new Duel(
                Contestant.java(() -> { }, () -> {
                    for (int pass = 0; pass < PASSES; pass++) {
                        write(file, page);
                    }
                }),
                workbench.peer(SmallWriteScenario.class, "small_write.c", peers, fileBytes, PASSES),
                () -> requireSame(ours, peers));
    }

    private void write(Descriptor file, MemorySegment page) throws IOException {
        for (long offset = 0; offset < fileBytes; offset += PAGE) {
            file.writeFully(page, offset);
        }
    }

    private static void requireSame(Path ours, Path peers) throws IOException {
        long difference = Files.mismatch(ours, peers);
        if (difference >= 0) {
            throw new IOException("our file and the peer's differ from byte " + difference + " on");
        }
    }
}
