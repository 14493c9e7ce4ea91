package io.microsnap.dedup;

import io.microsnap.core.internal.posix.DeferredFrees;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.FileSystemStat;
import java.io.IOException;

/**
 * How a filesystem allocates and frees space.
 *
 * @param blockBytes the unit in which files share blocks
 * @param freesWholeExtentsOnly whether an extent is kept as long as any part of it is used, as btrfs does
 * @param sharesBeneathReaders whether a mapping of a file shows its bytes while blocks are shared in place. btrfs
 *     leaves the page cache alone. XFS takes the shared range out of it: where a large folio reaches across an end of
 *     the range, its part inside is zeroed first, and page faults nearby find these zeros for a moment
 * @param freeBytes the free space
 */
record Allocation(long blockBytes, boolean freesWholeExtentsOnly, boolean sharesBeneathReaders, long freeBytes) {
    /** Returns the allocation of the filesystem that holds a file. */
    static Allocation of(Descriptor file) throws IOException {
        FileSystemStat fileSystem = file.fileSystem();
        boolean btrfs = fileSystem.type() == FileSystemStat.BTRFS;
        return new Allocation(fileSystem.blockSizeBytes(), btrfs, btrfs, fileSystem.freeBytes());
    }

    /** Returns the free space on the filesystem that holds a file, once everything on it is synced. */
    static long freeBytesAfterSync(Descriptor file) throws IOException {
        file.check("syncfs", file.posix().syncfs(file.number()), "");
        awaitDeferredFrees(file);
        return of(file).freeBytes();
    }

    /**
     * Waits until the blocks of files removed earlier on a file's filesystem are free, if the filesystem frees them
     * later and can be waited for.
     */
    static void awaitDeferredFrees(Descriptor file) throws IOException {
        // Querying the type starts the release; for a caller that may not wait it is then nearly done.
        if (file.fileSystem().type() == FileSystemStat.XFS) {
            file.uninterrupted(() -> DeferredFrees.await(file.posix(), file.number()));
        }
    }
}
