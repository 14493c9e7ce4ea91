package io.microsnap.core.internal.posix;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

@EnabledOnOs(OS.LINUX)
class LinuxPosixTest {
    private final Posix posix = Posix.host();
    private final Constants constants = posix.constants();
    @TempDir
    Path directory;

    @Test
    void failuresComeBackAsNegativeErrno() {
        int result = posix.openat(constants.AT_FDCWD, directory + "/none", constants.O_RDONLY, 0);
        assertThat(constants.errno(result)).isEqualTo(Errno.ENOENT);
        assertThat(constants.errno(posix.close(-1))).isEqualTo(Errno.EBADF);
        assertThat(constants.errno(posix.mmap(0, 0, 0, constants.MAP_ANONYMOUS, -1, 0))).isEqualTo(Errno.EINVAL);
        assertThat(constants.errno(posix.posix_fadvise(-1, 0, 0, 0))).isEqualTo(Errno.EBADF);
    }

    @Test
    void aJvmThatDeniesForeignFunctionsIsToldWhichFlagAllowsThem(ChildProcesses children) {
        ChildProcess.Exit exit = children.start(new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--illegal-native-access=deny",
                "-cp", System.getProperty("java.class.path"), AsksForThePageSize.class.getName())).awaitExit();
        assertThat(exit.output()).as(exit.toString()).contains("start it with --enable-native-access=ALL-UNNAMED");
    }

    static final class AsksForThePageSize {
        private AsksForThePageSize() {
        }

        public static void main(String[] arguments) {
            try {
                System.out.println(Posix.host().getpagesize());
            } catch (UnsupportedOperationException denied) {
                System.out.println(denied.getMessage());
            }
        }
    }

    @Test
    void bytesWrittenThroughADescriptorAreReadBackAtTheirOffset() throws IOException {
        Path file = directory.resolve("file");
        try (Descriptor open = create(file); Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocateFrom("microsnap");
            open.writeFully(bytes, 1L << 33);
            MemorySegment back = arena.allocate(bytes.byteSize());
            open.readFully(back, 1L << 33);
            assertThat(back.getString(0)).isEqualTo("microsnap");
            assertThat(open.sizeBytes()).isEqualTo((1L << 33) + bytes.byteSize());
            assertThat(open.status().allocatedBytes()).isLessThan(1 << 20);
            assertThat(posix.lseek(open.number(), 0, constants.SEEK_DATA)).isEqualTo(1L << 33);
            assertThatThrownBy(() -> open.readFully(back, 1L << 34))
                    .isInstanceOf(EOFException.class).hasMessageContaining(file.toString());
        }
    }

    @Test
    void statTellsWhatJavaTells() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "12345");
        try (Descriptor open = Descriptor.open(posix, file, constants.O_RDONLY, 0)) {
            Stat stat = open.status();
            assertThat(stat.sizeBytes()).isEqualTo(5);
            assertThat(stat.isRegularFile()).isTrue();
            assertThat(stat.inode()).isEqualTo(((Number) Files.getAttribute(file, "unix:ino")).longValue());
            assertThat(stat.permissions()).isEqualTo((int) Files.getAttribute(file, "unix:mode") & 07777);
            assertThat(stat.links()).isEqualTo(1);
            assertThat(stat.owner()).isEqualTo((int) Files.getAttribute(file, "unix:uid"));
            assertThat(stat.modifiedSeconds()).isEqualTo(Files.getLastModifiedTime(file).toMillis() / 1000);
        }
    }

    @Test
    void aDirectoryNamesItsEntriesHoweverMany() throws IOException {
        for (int index = 0; index < 2000; index++) {
            Files.createFile(directory.resolve("entry-" + index));
        }
        try (Descriptor open = Descriptor.open(posix, directory, constants.O_RDONLY | constants.O_DIRECTORY, 0)) {
            List<String> names = new ArrayList<>();
            assertThat(posix.readdir(open.number(), names)).isZero();
            assertThat(names).hasSize(2000).doesNotHaveDuplicates().contains("entry-0", "entry-1999");
            names.clear();
            assertThat(posix.readdir(open.number(), names)).isZero();
            assertThat(names).as("a second listing starts again").hasSize(2000);
        }
    }

    @Test
    void aChildIsOpenedWithoutFollowingALink() throws IOException {
        Files.createSymbolicLink(directory.resolve("link"), Files.writeString(directory.resolve("target"), "secret"));
        try (Descriptor open = Descriptor.open(posix, directory, constants.O_RDONLY | constants.O_DIRECTORY, 0)) {
            assertThatThrownBy(() -> open.openAt("link", constants.O_RDONLY, 0))
                    .isInstanceOfSatisfying(SystemCallException.class,
                            failure -> assertThat(failure.errno()).isEqualTo(Errno.ELOOP))
                    .hasMessageContaining("link");
            assertThatThrownBy(() -> open.openAt("none", constants.O_RDONLY, 0))
                    .isInstanceOf(NoSuchFileException.class);
        }
    }

    @Test
    void aDescriptorIsNotInheritedAndNotUsableOnceClosed() throws IOException {
        Descriptor open = create(directory.resolve("file"));
        assertThat(posix.fcntl(open.number(), constants.F_GETFD, 0)).as("FD_CLOEXEC").isEqualTo(1);
        open.close();
        open.close();
        assertThatThrownBy(open::number).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void memoryComparesByItsBytes() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment left = arena.allocate(4096);
            MemorySegment right = arena.allocate(4096);
            assertThat(posix.memcmp(left, right)).isZero();
            right.set(ValueLayout.JAVA_BYTE, 4095, (byte) 1);
            assertThat(posix.memcmp(left, right)).isNegative();
            assertThatThrownBy(() -> posix.memcmp(left, right.asSlice(1)))
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void aPathWithNulIsRefused() {
        assertThatThrownBy(() -> posix.openat(constants.AT_FDCWD, "a\0b", 0, 0))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("NUL");
    }

    @Test
    void halfACharacterIsRefusedAndNotReplaced() {
        assertThatThrownBy(() -> posix.openat(constants.AT_FDCWD, "a\ud800b", 0, 0))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("half a character at 1");
    }

    @Test
    void namesThatAreNotUtf8AreListedAndRemovedExactly() throws IOException, InterruptedException {
        String replacement = "a\ufffdb";
        Process child = new ProcessBuilder("sh", "-c",
                "touch \"$(printf 'a\\377b')\" \"$(printf 'a\\303b')\" \"$(printf '\\303\\251\\200')\"")
                .directory(directory.toFile()).inheritIO().start();
        assertThat(child.waitFor()).isZero();
        try (Descriptor open = Descriptor.open(posix, directory, constants.O_RDONLY | constants.O_DIRECTORY, 0)) {
            open.openAt(replacement, constants.O_RDWR | constants.O_CREAT, 0600).close();
            assertThat(open.names())
                    .containsExactlyInAnyOrder("a\udcffb", "a\udcc3b", "\u00e9\udc80", replacement);
            for (String name : open.names()) {
                assertThat(name.equals(replacement) || open.removeAt(name)).as(name).isTrue();
            }
            assertThat(open.names()).as("never taken for another").containsExactly(replacement);
        }
    }

    @Test
    void theLongestNameComesBackWhole() throws IOException {
        String name = "\u20ac".repeat(85);
        try (Descriptor open = Descriptor.open(posix, directory, constants.O_RDONLY | constants.O_DIRECTORY, 0)) {
            open.openAt(name, constants.O_RDWR | constants.O_CREAT, 0600).close();
            assertThat(open.names()).containsExactly(name);
            assertThatThrownBy(() -> open.openAt(name + "x", constants.O_RDONLY, 0))
                    .hasMessageContainingAll("ENAMETOOLONG", "too long");
        }
    }

    @Test
    void aFilesystemTellsItsSizeInBytes() throws IOException {
        FileStore expected = Files.getFileStore(directory);
        FileSystemStat stat = new FileSystemStat();
        try (Descriptor open = Descriptor.open(posix, directory, constants.O_RDONLY | constants.O_DIRECTORY, 0)) {
            assertThat(posix.fstatfs(open.number(), stat)).isZero();
        }
        assertThat(stat.totalBytes()).isEqualTo(expected.getTotalSpace());
        assertThat(stat.blockSizeBytes()).isEqualTo(expected.getBlockSize());
        assertThat(stat.availableBytes()).isBetween(1L, stat.freeBytes());
        stat.set(4096, Long.MAX_VALUE, -1, 2);
        assertThat(stat.totalBytes()).isEqualTo(Long.MAX_VALUE);
        assertThat(stat.freeBytes()).isEqualTo(Long.MAX_VALUE);
        assertThat(stat.availableBytes()).isEqualTo(8192);
    }

    @Test
    void blocksAreCountedInFragmentsAndNotInGoodTransfers() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment statfs = arena.allocate(120, Long.BYTES);
            long[] fields = {0x65735546, 1 << 20, 1000, 500, 400, 0, 0, 0, 255, 4096};
            for (int index = 0; index < fields.length; index++) {
                statfs.setAtIndex(ValueLayout.JAVA_LONG, index, fields[index]);
            }
            FileSystemStat stat = new FileSystemStat();
            StatFs.read(statfs, stat);
            assertThat(stat.blockSizeBytes()).isEqualTo(4096);
            assertThat(stat.totalBytes()).isEqualTo(1000 * 4096);
            assertThat(stat.freeBytes()).isEqualTo(500 * 4096);
            assertThat(stat.availableBytes()).isEqualTo(400 * 4096);
        }
    }

    @Test
    void copyFileRangeTakesBothOffsets() throws IOException {
        Path from = Files.writeString(directory.resolve("from"), "0123456789");
        try (Descriptor source = Descriptor.open(posix, from, constants.O_RDONLY, 0);
                Descriptor target = create(directory.resolve("to"))) {
            assertThat(posix.copy_file_range(source.number(), 2, target.number(), 1, 3)).isEqualTo(3);
        }
        assertThat(Files.readString(directory.resolve("to"))).isEqualTo("\000234");
    }

    @Test
    void aSignalRunsTheHandlerItWasGivenAndNothingElseHappens() {
        int signal = SignalAction.SIGRTMAX - 3;
        try (Arena arena = Arena.ofConfined()) {
            SignalAction before = SignalAction.in(arena);
            SignalAction harmless = SignalAction.in(arena)
                    .handler(posix.dlsym("abs")).flags(SignalAction.SA_ONSTACK);
            assertThat(posix.sigaction(signal, harmless.segment(), before.segment())).isZero();
            assertThat(before.handler()).isEqualTo(SignalAction.SIG_DFL);
            SignalAction now = SignalAction.in(arena);
            assertThat(posix.tgkill((int) ProcessHandle.current().pid(), posix.gettid(), signal)).isZero();
            assertThat(posix.sigaction(signal, before.segment(), now.segment())).isZero();
            assertThat(now.handler()).isEqualTo(harmless.handler()).isNotZero();
            assertThat(now.flags() & SignalAction.SA_ONSTACK).isEqualTo(SignalAction.SA_ONSTACK);
            assertThat(constants.errno(posix.sigaction(1000, MemorySegment.NULL, now.segment())))
                    .isEqualTo(Errno.EINVAL);
            assertThat(posix.dlsym("no_such_function")).isZero();
        }
    }

    private Descriptor create(Path file) throws IOException {
        return Descriptor.open(posix, file, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0600);
    }
}
