package io.microsnap.core.internal.posix;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.core.HugePages;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.testing.MacCalls;
import io.microsnap.testsupport.CCompiler;
import java.io.File;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Field;
import java.lang.reflect.RecordComponent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * macOS's calls, proven on Linux: how each is made there, by the JDK's own code for that platform; what is done with
 * the answers, against a library that stands in for them.
 */
@EnabledOnOs(OS.LINUX)
class MacPosixTest {
    private static final Constants MACOS = Constants.MACOS_AARCH64;
    private static final Constants LINUX = Posix.host().constants();

    @TempDir
    Path directory;

    @Test
    void variadicArgumentsTravelOnTheStackAndAllOthersInRegisters() throws ReflectiveOperationException {
        Map<String, Downcall> calls = calls();
        assertThat(calls).hasSizeGreaterThan(30);
        calls.forEach((name, call) -> {
            List<String> places = MacCalls.arguments(call.function(), call.options().toArray(Linker.Option[]::new));
            for (int index = 0; index < places.size(); index++) {
                boolean variadic = call.named() >= 0 && index >= call.named();
                String place = variadic ? "stack+" + (index - call.named()) * Long.BYTES : "x" + index;
                MemoryLayout layout = call.function().argumentLayouts().get(index);
                assertThat(places.get(index)).as("argument %d of %s", index, name)
                        .isEqualTo(place + (layout == Downcall.LONG || layout == Downcall.POINTER ? " long" : " int")
                                + (layout == Downcall.UNSIGNED_SHORT ? " CHAR_TO_INT" : ""));
            }
        });
    }

    @Test
    void theVariadicAndThe16BitArgumentsAreTheseAndNoOthers() throws ReflectiveOperationException {
        Map<String, List<String>> special = new TreeMap<>();
        calls().forEach((name, call) -> {
            List<String> places = MacCalls.arguments(call.function(), call.options().toArray(Linker.Option[]::new))
                    .stream().filter(place -> place.startsWith("stack") || place.contains("_TO_")).toList();
            if (!places.isEmpty()) {
                special.put(name, places);
            }
        });
        assertThat(special).isEqualTo(Map.of(
                "openat", List.of("stack+0 int"),
                "fcntl", List.of("stack+0 long"),
                "fcntl pointer", List.of("stack+0 long"),
                "ioctl", List.of("stack+0 long"),
                "ioctl pointer", List.of("stack+0 long"),
                "mkdirat", List.of("x2 int CHAR_TO_INT"),
                "fchmod", List.of("x1 int CHAR_TO_INT")));
    }

    @Test
    void withoutTheVariadicOptionAModeWouldBeLost() {
        FunctionDescriptor openat = FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT,
                ValueLayout.ADDRESS, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT);
        assertThat(MacCalls.arguments(openat)).containsExactly("x0 int", "x1 long", "x2 int", "x3 int");
    }

    @Test
    void statTellsWhatLinuxTells(CCompiler compiler) throws IOException {
        MacPosix macos = standIn(compiler);
        Path file = Files.write(directory.resolve("file"), new byte[70_000]);
        Files.createLink(directory.resolve("other-name"), file);
        Files.createSymbolicLink(directory.resolve("link"), file);
        try (Descriptor open = Descriptor.open(Posix.host(), file, LINUX.O_RDWR, 0); Descriptor parent = parent()) {
            assertThat(macos.fchmod(open.number(), 0640)).isZero();
            Stat expected = open.status();
            Stat stat = new Stat();
            assertThat(macos.fstat(open.number(), stat)).isZero();
            assertSame(stat, expected);
            Stat byName = new Stat();
            assertThat(macos.fstatat(parent.number(), "file", byName, MACOS.AT_SYMLINK_NOFOLLOW)).isZero();
            assertSame(byName, expected);
            assertThat(byName.sameFile(stat)).isTrue();
            assertThat(stat.permissions()).isEqualTo(0640);
            assertThat(stat.links()).isEqualTo(2);
            assertThat(macos.fstatat(parent.number(), "link", byName, MACOS.AT_SYMLINK_NOFOLLOW)).isZero();
            assertThat(byName.isSymbolicLink()).isTrue();
            assertThat(macos.fstatat(parent.number(), "none", byName, 0)).isEqualTo(-Errno.ENOENT.number(MACOS));
        }
    }

    private static void assertSame(Stat stat, Stat expected) {
        assertThat(stat.inode()).isEqualTo(expected.inode());
        assertThat(stat.mode).isEqualTo(expected.mode);
        assertThat(stat.links()).isEqualTo(expected.links());
        assertThat(stat.owner()).isEqualTo(expected.owner());
        assertThat(stat.group()).isEqualTo(expected.group());
        assertThat(stat.sizeBytes()).isEqualTo(expected.sizeBytes());
        assertThat(stat.allocatedBytes()).isEqualTo(expected.allocatedBytes());
        assertThat(stat.blockSizeBytes()).isEqualTo(expected.blockSizeBytes());
        assertThat(stat.accessedSeconds()).isEqualTo(expected.accessedSeconds());
        assertThat(stat.accessedNanos()).isEqualTo(expected.accessedNanos());
        assertThat(stat.modifiedSeconds()).isEqualTo(expected.modifiedSeconds());
        assertThat(stat.modifiedNanos()).isEqualTo(expected.modifiedNanos());
        assertThat(stat.changedSeconds()).isEqualTo(expected.changedSeconds());
        assertThat(stat.changedNanos()).isEqualTo(expected.changedNanos());
    }

    @Test
    void aFilesystemTellsItsSize(CCompiler compiler) throws IOException {
        FileSystemStat expected = new FileSystemStat();
        FileSystemStat stat = new FileSystemStat();
        try (Descriptor parent = parent()) {
            assertThat(Posix.host().fstatfs(parent.number(), expected)).isZero();
            assertThat(standIn(compiler).fstatfs(parent.number(), stat)).isZero();
        }
        assertThat(stat.totalBytes()).isEqualTo(expected.totalBytes());
        assertThat(stat.blockSizeBytes()).isEqualTo(expected.blockSizeBytes());
        assertThat(stat.freeBytes()).isBetween(1L, stat.totalBytes());
        assertThat(stat.availableBytes()).isBetween(1L, stat.freeBytes());
        assertThat(stat.type()).isEqualTo(26);
    }

    @Test
    void aDirectoryNamesItsEntriesAndLeavesNothingOpen(CCompiler compiler) throws IOException {
        MacPosix macos = standIn(compiler);
        for (int index = 0; index < 500; index++) {
            Files.createFile(directory.resolve("entry-" + index));
        }
        try (Descriptor parent = parent()) {
            List<String> expected = parent.names();
            int before = openDescriptors();
            for (int round = 0; round < 3; round++) {
                List<String> names = new ArrayList<>();
                assertThat(macos.readdir(parent.number(), names)).isZero();
                assertThat(names).hasSize(500).containsExactlyInAnyOrderElementsOf(expected);
            }
            assertThat(openDescriptors()).isEqualTo(before);
        }
    }

    @Test
    void renamingKeepsToItsFlags(CCompiler compiler) throws IOException {
        MacPosix macos = standIn(compiler);
        Files.writeString(directory.resolve("a"), "a");
        Files.writeString(directory.resolve("b"), "b");
        try (Descriptor parent = parent()) {
            int number = parent.number();
            assertThat(macos.renameat2(number, "a", number, "b", MACOS.RENAME_NOREPLACE))
                    .isEqualTo(-Errno.EEXIST.number(MACOS));
            assertThat(macos.renameat2(number, "a", number, "b", MACOS.RENAME_EXCHANGE)).isZero();
            assertThat(directory.resolve("a")).hasContent("b");
            assertThat(macos.renameat2(number, "a", number, "b", 0)).isZero();
            assertThat(directory.resolve("a")).doesNotExist();
            assertThat(directory.resolve("b")).hasContent("b");
        }
    }

    @Test
    void directoriesClonesAndAttributesAreMade(CCompiler compiler) throws IOException {
        MacPosix macos = standIn(compiler);
        Path file = Files.write(directory.resolve("file"), new byte[10_000]);
        try (Descriptor parent = parent(); Descriptor open = Descriptor.open(Posix.host(), file, LINUX.O_RDWR, 0);
                Arena arena = Arena.ofConfined()) {
            assertThat(macos.mkdirat(parent.number(), "made", 0700)).isZero();
            assertThat(parent.statusAt("made").orElseThrow().permissions()).isEqualTo(0700);
            assertThat(macos.fclonefileat(open.number(), parent.number(), "clone", MACOS.CLONE_NOFOLLOW)).isZero();
            assertThat(directory.resolve("clone")).hasSameBinaryContentAs(file);
            assertThat(macos.fclonefileat(open.number(), parent.number(), "clone", 0))
                    .isEqualTo(-Errno.EEXIST.number(MACOS));
            MemorySegment value = arena.allocateFrom("of a file");
            assertThat(macos.fsetxattr(open.number(), "user.microsnap", value)).isZero();
            MemorySegment back = arena.allocate(64);
            assertThat(macos.fgetxattr(open.number(), "user.microsnap", back)).isEqualTo(value.byteSize());
            assertThat(back.getString(0)).isEqualTo("of a file");
            assertThat(macos.flistxattr(open.number(), back)).isGreaterThanOrEqualTo(15);
        }
    }

    @Test
    void aTransferTooLongForTheKernelIsMadeShort(CCompiler compiler) throws IOException {
        MacPosix macos = standIn(compiler);
        try (Descriptor sink = Descriptor.open(Posix.host(), Path.of("/dev/null"), LINUX.O_RDWR, 0);
                Mapping memory = Mapping.anonymous(Posix.host(), 3L << 30, HugePages.NONE)) {
            assertThat(macos.pwrite(sink.number(), memory.segment(), 0)).isEqualTo(1 << 30);
            assertThat(macos.pwrite(sink.number(), memory.segment().asSlice(0, 1 << 30), 0)).isEqualTo(1 << 30);
            assertThat(macos.pread(sink.number(), memory.segment(), 0)).isZero();
        }
    }

    @Test
    void vectoredTransfersGoThroughEveryBufferAndKnowNoFlags(CCompiler compiler) throws IOException {
        MacPosix macos = standIn(compiler);
        Path file = directory.resolve("file");
        try (Descriptor open = Descriptor.open(Posix.host(), file, LINUX.O_RDWR | LINUX.O_CREAT, 0600);
                Arena arena = Arena.ofConfined()) {
            List<MemorySegment> buffers = List.of(arena.allocateFrom("vectors "), arena.allocate(0),
                    arena.allocateFrom("of macOS"));
            MemorySegment vectors = IoVectors.of(arena, buffers).next(Long.MAX_VALUE);
            assertThat(macos.pwritev2(open.number(), vectors, 3, 0)).isEqualTo(18);
            buffers.forEach(buffer -> buffer.fill((byte) 0));
            assertThat(macos.preadv2(open.number(), vectors, 3, 0)).isEqualTo(18);
            assertThat(buffers.getFirst().getString(0) + buffers.getLast().getString(0)).isEqualTo("vectors of macOS");
            assertThat(macos.preadv2(open.number(), vectors, 0, 1)).isEqualTo(-Errno.ENOSYS.number(MACOS));
        }
    }

    @Test
    void spaceIsAskedForBehindTheEndAndAllOfIt() {
        MemorySegment store = Arena.ofAuto().allocate(MacStructs.FSTORE_BYTES, Long.BYTES).fill((byte) 0x5a);
        MacStructs.preallocate(store, MACOS, 1L << 33);
        assertThat(store.get(ValueLayout.JAVA_INT, MacStructs.FST_FLAGS)).isEqualTo(MACOS.F_ALLOCATEALL);
        assertThat(store.get(ValueLayout.JAVA_INT, MacStructs.FST_POSMODE)).isEqualTo(MACOS.F_PEOFPOSMODE);
        assertThat(store.get(ValueLayout.JAVA_LONG, MacStructs.FST_OFFSET)).isZero();
        assertThat(store.get(ValueLayout.JAVA_LONG, MacStructs.FST_LENGTH)).isEqualTo(1L << 33);
    }

    @Test
    void whatMacosLacksAnswersSo(CCompiler compiler) {
        MacPosix macos = standIn(compiler);
        long absent = -Errno.ENOSYS.number(MACOS);
        assertThat(macos.copy_file_range(0, 0, 0, 0, 1)).isEqualTo(absent);
        assertThat(macos.memfd_create("guest", 0)).isEqualTo((int) absent);
        assertThat(macos.syncfs(0)).isEqualTo((int) absent);
        assertThat(macos.userfaultfd(0)).isEqualTo((int) absent);
        assertThat(macos.fallocate(0, 0, 0, 1)).isEqualTo((int) absent);
        assertThat(MACOS.errno(absent)).isEqualTo(Errno.ENOSYS);
    }

    private static Map<String, Downcall> calls() throws ReflectiveOperationException {
        Map<String, Downcall> calls = new TreeMap<>();
        for (Class<?> function : Libc.class.getDeclaredClasses()) {
            Field field = function.getDeclaredField("CALL");
            field.setAccessible(true);
            Downcall call = (Downcall) field.get(null);
            calls.put(call.name() + (function.getSimpleName().endsWith("Pointer") ? " pointer" : ""), call);
        }
        // Linking asks for an address and calls nothing.
        MacPosix.Functions functions = new MacPosix.Functions(
                name -> Optional.of(MemorySegment.ofAddress(16)));
        for (RecordComponent component : MacPosix.Functions.class.getRecordComponents()) {
            component.getAccessor().setAccessible(true);
            Downcall call = (Downcall) component.getAccessor().invoke(functions);
            calls.put(call.name(), call);
        }
        return calls;
    }

    @SuppressWarnings("restricted")
    private static MacPosix standIn(CCompiler compiler) {
        Path library = compiler.library(MacPosixTest.class, "macos_standin.c", "macos.h");
        return new MacPosix(SymbolLookup.libraryLookup(library, Arena.global()));
    }

    private Descriptor parent() throws IOException {
        return Descriptor.open(Posix.host(), directory, LINUX.O_RDONLY | LINUX.O_DIRECTORY, 0);
    }

    private static int openDescriptors() {
        String[] open = new File("/proc/self/fd").list();
        assumeTrue(open != null, "/proc is not mounted");
        return open.length;
    }
}
