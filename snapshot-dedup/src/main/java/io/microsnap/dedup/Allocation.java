package io.microsnap.dedup;

import io.microsnap.core.internal.posix.DeferredFrees;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.FileSystemStat;
import java.io.IOException;

/**
 * How a filesystem gives and takes space.
 *
 * @param blockBytes the unit in which files share
 * @param freesWholeExtentsOnly whether an extent is kept as long as any part of it is used, as btrfs does
 * @param freeBytes what is free
 */
record Allocation(long blockBytes, boolean freesWholeExtentsOnly, long freeBytes) {
    /** That of the filesystem that holds a file. */
    static Allocation of(Descriptor file) throws IOException {
        FileSystemStat fileSystem = file.fileSystem();
        boolean btrfs = fileSystem.type() == FileSystemStat.BTRFS;
        return new Allocation(fileSystem.blockSizeBytes(), btrfs, fileSystem.freeBytes());
    }

    /** What is free on the filesystem that holds a file, once everything on it is synced. */
    static long freeBytesAfterSync(Descriptor file) throws IOException {
        file.check("syncfs", file.posix().syncfs(file.number()), "");
        awaitDeferredFrees(file);
        return of(file).freeBytes();
    }

    /** Returns when what was removed on a file's filesystem before is free, where that is later and can be awaited. */
    static void awaitDeferredFrees(Descriptor file) throws IOException {
        // Asking for the kind starts the release; a caller that may not wait finds it nearly done.
        if (file.fileSystem().type() == FileSystemStat.XFS) {
            file.uninterrupted(() -> DeferredFrees.await(file.posix(), file.number()));
        }
    }
}
