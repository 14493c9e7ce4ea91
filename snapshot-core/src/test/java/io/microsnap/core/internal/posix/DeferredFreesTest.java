package io.microsnap.core.internal.posix;

import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;

class DeferredFreesTest {
    private static final Posix POSIX = Posix.host();
    private static final int BLOCK = 4096;
    private static final int BLOCKS = 8192;

    @RealFileSystems(XFS)
    void whatARemovedFileHadIsFreeAtOnce(Path directory) throws IOException {
        Constants constants = POSIX.constants();
        try (Descriptor folder = Descriptor.open(POSIX, directory, constants.O_RDONLY, 0)) {
            // So many extents that the kernel is still at it when it is asked.
            long before = freeOnceAllIsGivenBack(folder);
            try (Descriptor file =
                    Descriptor.open(POSIX, directory.resolve("file"), constants.O_CREAT | constants.O_RDWR, 0600);
                    Arena arena = Arena.ofConfined()) {
                for (long block = 0; block < BLOCKS; block += 2) {
                    file.writeFully(arena.allocate(BLOCK), block * BLOCK);
                }
                file.sync();
                assertThat(before - file.fileSystem().freeBytes()).isGreaterThanOrEqualTo(BLOCKS / 2 * (long) BLOCK);
                folder.removeAt("file");
            }
            assertThat(freeOnceAllIsGivenBack(folder)).isGreaterThanOrEqualTo(before);
        }
    }

    @RealFileSystems(EXT4)
    void elsewhereNothingIsDeferred(Path directory) throws IOException {
        try (Descriptor folder = Descriptor.open(POSIX, directory, POSIX.constants().O_RDONLY, 0)) {
            assertThat(POSIX.constants().errno(DeferredFrees.await(POSIX, folder.number()))).isEqualTo(Errno.ENOTTY);
        }
    }

    private static long freeOnceAllIsGivenBack(Descriptor folder) throws IOException {
        folder.check("syncfs", POSIX.syncfs(folder.number()), "");
        folder.check("ioctl(XFS_IOC_FREE_EOFBLOCKS)", DeferredFrees.await(POSIX, folder.number()), "");
        return folder.fileSystem().freeBytes();
    }
}
