package io.microsnap.core.internal.posix;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.testing.FaultyPosix;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

@EnabledOnOs(OS.LINUX)
class DescriptorTest {
    private final FaultyPosix faulty = FaultyPosix.host();
    private final Posix posix = faulty.posix();
    private final Constants constants = posix.constants();
    @TempDir
    Path directory;

    @AfterEach
    void nothingIsLeaked() {
        assertThat(faulty.openDescriptors()).isEmpty();
    }

    private interface Operation {
        void run(Descriptor file, Arena arena) throws IOException;
    }

    @Test
    void everyCallIsRepeatedWhenInterruptedAndFinishedWhenShort() throws IOException {
        Operation everything = (file, arena) -> {
            MemorySegment bytes = arena.allocateFrom("0123456789", StandardCharsets.US_ASCII);
            file.writeFully(bytes, 5);
            MemorySegment back = arena.allocate(bytes.byteSize());
            file.readFully(back, 5);
            assertThat(back.getString(0)).isEqualTo("0123456789");
            file.truncate(100);
            assertThat(file.sizeBytes()).isEqualTo(100);
            file.permissions(0640);
            assertThat(file.status().permissions()).isEqualTo(0640);
            assertThat(file.tryLock(true)).isTrue();
            file.syncData();
            file.sync();
        };
        int calls = faultFree(everything);
        for (int position = 1; position <= calls; position++) {
            perform(FaultyPosix.host().at(position).isInterrupted(), everything);
            perform(FaultyPosix.host().at(position).fallsShort(), everything);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"EIO", "ENOSPC", "EDQUOT", "EROFS"})
    void everyOtherFailureIsAnExceptionThatNamesTheFileAndTheError(Errno errno) throws IOException {
        Operation everything = (file, arena) -> {
            file.writeFully(arena.allocate(10), 5);
            file.readFully(arena.allocate(10), 5);
            file.truncate(100);
            file.status();
            file.permissions(0640);
            file.tryLock(true);
            file.sync();
        };
        int calls = faultFree(everything);
        for (int position = 1; position <= calls; position++) {
            FaultyPosix failing = FaultyPosix.host().at(position).fails(errno);
            assertThatThrownBy(() -> perform(failing, everything)).as("call %d", position)
                    .isInstanceOf(SystemCallException.class).hasMessageContainingAll("file", errno.name());
            assertThat(failing.openDescriptors()).isEmpty();
        }
    }

    @Test
    void aReadPastTheEndSaysWhereTheFileEnds() throws IOException {
        perform(faulty, (file, arena) -> {
            file.truncate(100);
            assertThat(file.read(arena.allocate(50), 80)).isEqualTo(20);
            assertThatThrownBy(() -> file.readFully(arena.allocate(50), 80)).isInstanceOf(EOFException.class)
                    .hasMessageContainingAll("ends at 100", "80 to 130");
        });
    }

    @Test
    void aFailedSyncIsFinal() throws IOException {
        faulty.at("fsync", 1).fails(Errno.EIO);
        perform(faulty, (file, arena) -> {
            assertThatThrownBy(file::sync).isInstanceOf(SystemCallException.class).hasMessageContaining("EIO");
            assertThatThrownBy(file::sync).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("earlier sync failed").hasRootCauseMessage(
                            directory.resolve("file") + ": fsync failed with EIO: the storage failed; see the"
                                    + " kernel's log before trusting it again");
            assertThatThrownBy(file::syncData).isInstanceOf(SnapshotException.class);
        });
        assertThat(faulty.calls("fsync")).as("not asked again").isEqualTo(1);
        assertThat(faulty.calls("fdatasync")).isZero();
    }

    @Test
    void itIsClosedOnceHoweverManyCloseIt() throws Exception {
        Descriptor file = Descriptor.open(posix, directory.resolve("file"), constants.O_RDWR | constants.O_CREAT,
                0600);
        List<Thread> threads = IntStream.range(0, 8).mapToObj(index -> Thread.ofPlatform().start(() -> {
            try {
                file.close();
            } catch (IOException failure) {
                throw new AssertionError(failure);
            }
        })).toList();
        for (Thread thread : threads) {
            thread.join();
        }
        assertThat(faulty.calls("close")).isEqualTo(1);
        assertThatThrownBy(() -> file.truncate(1)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("is closed");
    }

    @Test
    void anOpenDescriptorIsAdopted() throws IOException {
        int number = posix.openat(constants.AT_FDCWD, directory.toString(), constants.O_RDONLY, 0);
        try (Descriptor adopted = Descriptor.adopt(posix, number, "the directory")) {
            assertThat(adopted.status().isDirectory()).isTrue();
            assertThat(adopted).hasToString("the directory");
        }
        assertThatThrownBy(() -> Descriptor.adopt(posix, -9, "nothing")).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void whatCannotBeOpenedSaysWhy() throws IOException {
        Path file = Files.createFile(directory.resolve("plain"));
        int create = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
        assertThatThrownBy(() -> Descriptor.open(posix, directory.resolve("none"), constants.O_RDONLY, 0))
                .isInstanceOf(NoSuchFileException.class).hasMessageContaining("ENOENT");
        assertThatThrownBy(() -> Descriptor.open(posix, file.resolve("child"), constants.O_RDONLY, 0))
                .isInstanceOf(NotDirectoryException.class).hasMessageContaining("ENOTDIR");
        assertThatThrownBy(() -> Descriptor.open(posix, file, create, 0600))
                .isInstanceOf(FileAlreadyExistsException.class).hasMessageContaining("EEXIST");
        assertThatThrownBy(() -> Descriptor.open(posix, directory, constants.O_RDWR, 0))
                .isInstanceOf(SystemCallException.class).hasMessageContaining("EISDIR: it is a directory");
        faulty.at("openat", faulty.calls("openat") + 1).fails(Errno.EACCES);
        assertThatThrownBy(() -> Descriptor.open(posix, file, constants.O_RDWR, 0))
                .isInstanceOf(AccessDeniedException.class).hasMessageContaining("EACCES: check");
    }

    private int faultFree(Operation operation) throws IOException {
        FaultyPosix counting = FaultyPosix.host();
        perform(counting, operation);
        return counting.calls();
    }

    private void perform(FaultyPosix calls, Operation operation) throws IOException {
        try (Descriptor file = Descriptor.open(calls.posix(), directory.resolve("file"),
                constants.O_RDWR | constants.O_CREAT, 0600); Arena arena = Arena.ofConfined()) {
            operation.run(file, arena);
        }
    }
}
