package io.microsnap.dedup;

import io.microsnap.core.posix.Descriptor;
import io.microsnap.core.posix.FileSystemStat;
import java.io.IOException;

/**
 * How a filesystem gives and takes space.
 *
 * @param blockBytes the unit in which files share
 * @param freesWholeExtentsOnly whether an extent is kept as long as any part of it is used, as btrfs does
 * @param freeBytes what is free
 */
record Allocation(long blockBytes, boolean freesWholeExtentsOnly, long freeBytes) {
    private static final long BTRFS = 0x9123683EL;

    /** That of the filesystem that holds a file. */
    static Allocation of(Descriptor file) throws IOException {
        FileSystemStat fileSystem = new FileSystemStat();
        file.check("fstatfs", file.posix().fstatfs(file.number(), fileSystem), "");
        return new Allocation(fileSystem.blockSizeBytes(), fileSystem.type() == BTRFS, fileSystem.freeBytes());
    }

    /** What is free on the filesystem that holds a file, once everything on it is synced. */
    static long freeBytesAfterSync(Descriptor file) throws IOException {
        // XFS frees a removed file's blocks a little later; asking sets it going, and the sync takes longer than that.
        long ignored = of(file).freeBytes();
        file.check("syncfs", file.posix().syncfs(file.number()), "");
        return of(file).freeBytes();
    }
}
