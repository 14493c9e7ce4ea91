package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

final class WorkbenchTest {
    private static final int FILES = 300;
    /** Of an XFS that has nothing to write back any more. */
    private static final long MOST_BLOCKS_IN_USE = 8;

    @RealFileSystems(FileSystemKind.XFS)
    void onceSettledAFileSystemHasNothingLeftToDoAndIsWritable(Path mountingWorksHere) throws Exception {
        try (Workbench workbench = new Workbench()) {
            Path directory = workbench.directory(FileSystemKind.XFS);
            for (int file = 0; file < FILES; file++) {
                Files.delete(Files.writeString(directory.resolve("file-" + file), "text"));
            }
            workbench.settle();
            assertThat(blocksOfTheLogInUse(directory)).isLessThanOrEqualTo(MOST_BLOCKS_IN_USE);
            assertThat(Files.writeString(directory.resolve("another"), "text")).exists();
        }
    }

    private static long blocksOfTheLogInUse(Path directory) throws IOException {
        Path device = Path.of(Files.getFileStore(directory).name());
        Path log = Path.of("/sys/fs/xfs").resolve(device.getFileName()).resolve("log");
        return block(log.resolve("log_head_lsn")) - block(log.resolve("log_tail_lsn"));
    }

    /** Of a position, which is the cycle of a log that is written round and round, a colon and the block. */
    private static long block(Path position) throws IOException {
        return Long.parseLong(Files.readString(position).strip().split(":", -1)[1]);
    }
}
