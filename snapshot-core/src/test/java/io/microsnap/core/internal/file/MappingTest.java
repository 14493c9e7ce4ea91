package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

@EnabledOnOs(OS.LINUX)
class MappingTest {
    private static final long MIB = 1 << 20;
    private static final int F_OFD_SETLKW = 38;
    private static final short F_WRLCK = 1;
    private static final short F_UNLCK = 2;

    private final FaultyPosix faulty = FaultyPosix.host();
    private final Posix posix = faulty.posix();
    private final Constants constants = posix.constants();
    private final long page = posix.getpagesize();
    @TempDir
    Path directory;

    @AfterEach
    void nothingIsLeaked() {
        assertThat(faulty.openDescriptors()).as("open descriptors").isEmpty();
        assertThat(faulty.mappedBytes()).as("mapped bytes").isZero();
    }

    @ParameterizedTest
    @EnumSource(names = {"NONE", "TRANSPARENT"})
    void newMemoryIsZeroWritableAndExactlyAsLongAsAsked(HugePages hugePages) throws IOException {
        try (Mapping anonymous = Mapping.anonymous(posix, 3 * MIB + 5, hugePages);
                Mapping memfd = Mapping.memfd(posix, "guest", 3 * MIB + 5, hugePages)) {
            for (Mapping mapping : List.of(anonymous, memfd)) {
                assertThat(mapping.lengthBytes()).isEqualTo(3 * MIB + 5);
                assertThat(Pages.isZero(mapping.segment(), 0, 3 * MIB + 5)).isTrue();
                mapping.segment().set(ValueLayout.JAVA_BYTE, 3 * MIB + 4, (byte) 1);
                assertThatThrownBy(() -> mapping.segment().set(ValueLayout.JAVA_BYTE, 3 * MIB + 5, (byte) 1))
                        .isInstanceOf(IndexOutOfBoundsException.class);
                assertThat(mapping.mayBeTruncated()).isFalse();
                if (hugePages == HugePages.TRANSPARENT) {
                    assertThat(mapping.address() % (page * page / Long.BYTES)).as("alignment").isZero();
                }
            }
        }
    }

    @Test
    void memoryUsedAfterClosingIsAnException() throws IOException {
        Mapping mapping = Mapping.anonymous(posix, MIB, HugePages.NONE);
        MemorySegment memory = mapping.segment();
        mapping.close();
        mapping.close();
        assertThatThrownBy(() -> memory.get(ValueLayout.JAVA_BYTE, 0)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> mapping.advise(0, page, Advice.DISCARD)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> mapping.populated(0, page, (at, length) -> { }))
                .isInstanceOf(IllegalStateException.class);
    }

    @Test
    void noSwapIsReserved() throws IOException {
        // Far more than this machine could reserve.
        try (Mapping mapping = Mapping.anonymous(posix, 1L << 42, HugePages.NONE)) {
            mapping.segment().set(ValueLayout.JAVA_BYTE, (1L << 42) - 1, (byte) 1);
            assertThat(populated(mapping)).containsExactly(range((1L << 42) - page, page));
        }
    }

    @Test
    void aMemfdIsSharedAndSealed() throws IOException {
        try (Mapping first = Mapping.memfd(posix, "guest", MIB, HugePages.NONE)) {
            Descriptor memfd = first.descriptor().orElseThrow();
            first.segment().set(ValueLayout.JAVA_LONG, 4096, 42);
            try (Mapping second = Mapping.file(memfd, 4096, 4096, Access.SHARED_WRITE)) {
                assertThat(second.segment().get(ValueLayout.JAVA_LONG, 0)).isEqualTo(42);
                second.segment().set(ValueLayout.JAVA_LONG, 0, 43);
                assertThat(second.mayBeTruncated()).as("a sealed memfd").isFalse();
            }
            assertThat(first.segment().get(ValueLayout.JAVA_LONG, 4096)).isEqualTo(43);
            assertThatThrownBy(() -> memfd.truncate(0)).hasMessageContaining("EPERM");
            assertThatThrownBy(() -> memfd.truncate(2 * MIB)).hasMessageContaining("EPERM");
        }
    }

    @Test
    void aPrivateMappingKeepsItsWritesFromTheFile() throws IOException {
        try (Descriptor file = fileOf('a', 'b'); Mapping mapping = Mapping.file(file, 0, 2 * page, Access.PRIVATE)) {
            mapping.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 'x');
            assertThat(bytes(mapping)).isEqualTo("xb");
            assertThat(Files.readAllBytes(directory.resolve("ab"))[0]).isEqualTo((byte) 'a');
            assertThat(mapping.mayBeTruncated()).isTrue();
        }
    }

    @Test
    void aSharedMappingWritesToTheFile() throws IOException {
        try (Descriptor file = fileOf('a', 'b');
                Mapping mapping = Mapping.file(file, page, page, Access.SHARED_WRITE)) {
            mapping.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 'x');
            assertThat(Files.readAllBytes(directory.resolve("ab"))[(int) page]).isEqualTo((byte) 'x');
        }
    }

    @Test
    void writingToAReadOnlyMappingIsAnExceptionAndNoCrash() throws IOException {
        try (Descriptor file = fileOf('a', 'b');
                Mapping mapping = Mapping.file(file, 0, 2 * page, Access.SHARED_READ)) {
            assertThatThrownBy(() -> mapping.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 1))
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void aFileMayEndInsideTheLastPageButNotBefore() throws IOException {
        try (Descriptor file = fileOf('a', 'b')) {
            file.truncate(page + 1);
            try (Mapping mapping = Mapping.file(file, 0, 2 * page, Access.PRIVATE)) {
                assertThat(mapping.segment().get(ValueLayout.JAVA_BYTE, 2 * page - 1)).isZero();
            }
            file.truncate(page);
            assertThatThrownBy(() -> Mapping.file(file, 0, 2 * page, Access.PRIVATE))
                    .isInstanceOf(SnapshotException.class).hasMessageContainingAll("ab", "shorter", "" + page);
        }
    }

    @Test
    void wrongArgumentsAreRefusedBeforeAnythingIsMapped() throws IOException {
        try (Descriptor file = fileOf('a', 'b')) {
            for (long length : new long[] {0, -1}) {
                assertThatThrownBy(() -> Mapping.anonymous(posix, length, HugePages.NONE))
                        .isInstanceOf(IllegalArgumentException.class);
                assertThatThrownBy(() -> Mapping.memfd(posix, "guest", length, HugePages.NONE))
                        .isInstanceOf(IllegalArgumentException.class);
                assertThatThrownBy(() -> Mapping.file(file, 0, length, Access.PRIVATE))
                        .isInstanceOf(IllegalArgumentException.class);
            }
            assertThatThrownBy(() -> Mapping.file(file, -page, page, Access.PRIVATE))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> Mapping.file(file, page, Long.MAX_VALUE, Access.PRIVATE))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> Mapping.file(file, 1, page, Access.PRIVATE))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("page size of " + page);
            assertThat(faulty.calls("mmap")).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {4096, 16384, 65536})
    void thePageSizeIsTheHostsAndNotAssumed(int pageBytes) throws IOException {
        faulty.pretendPagesOf(pageBytes);
        List<Object> mapped = new ArrayList<>();
        faulty.before(call -> {
            if (call.name().equals("mmap")) {
                mapped.add(call.arguments().get(1));
            }
        });
        try (Descriptor file = create("image")) {
            file.truncate(4L * pageBytes);
            try (Mapping mapping = Mapping.file(file, pageBytes, 1, Access.PRIVATE)) {
                assertThat(mapping.lengthBytes()).isEqualTo(1);
                assertThat(mapped).containsExactly((long) pageBytes);
            }
            assertThatThrownBy(() -> Mapping.file(file, pageBytes / 2, 1, Access.PRIVATE))
                    .hasMessageContaining("page size of " + pageBytes);
            try (Mapping mapping = Mapping.anonymous(posix, 4L * pageBytes, HugePages.NONE)) {
                assertThatThrownBy(() -> mapping.advise(pageBytes / 2, 1, Advice.DISCARD))
                        .hasMessageContaining("page size of " + pageBytes);
                assertThatThrownBy(() -> mapping.overlay(pageBytes, file, pageBytes / 2, pageBytes))
                        .hasMessageContaining("page size of " + pageBytes);
                mapping.overlay(pageBytes, file, pageBytes, pageBytes);
            }
        }
    }

    @Test
    void layersLieOverEachOther() throws IOException {
        try (Descriptor base = fileOf('a', 'b', 'c', 'd'); Descriptor middle = fileOf('e', 'f', 'g', 'h');
                Descriptor top = fileOf('i', 'j', 'k', 'l');
                Mapping mapping = Mapping.file(base, 0, 4 * page, Access.PRIVATE)) {
            mapping.overlay(page, middle, page, 2 * page);
            mapping.overlay(2 * page, top, 3 * page, page);
            assertThat(bytes(mapping)).isEqualTo("afld");
            mapping.segment().fill((byte) 'x');
            assertThat(bytes(mapping)).isEqualTo("xxxx");
            assertThat(Files.readAllBytes(directory.resolve("efgh"))[(int) page]).isEqualTo((byte) 'f');
        }
    }

    @Test
    void anOverlayStaysInsideItsMappingAndItsFile() throws IOException {
        try (Descriptor file = fileOf('a', 'b'); Mapping mapping = Mapping.anonymous(posix, 2 * page, HugePages.NONE);
                Mapping memfd = Mapping.memfd(posix, "guest", page, HugePages.NONE)) {
            assertThatThrownBy(() -> mapping.overlay(page, file, 0, 2 * page))
                    .isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> mapping.overlay(0, file, page, 2 * page)).isInstanceOf(SnapshotException.class);
            assertThatThrownBy(() -> mapping.overlay(0, file, 0, 1)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> mapping.overlay(0, file, -page, page))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> memfd.overlay(0, file, 0, page)).isInstanceOf(IllegalStateException.class);
            assertThat(mapping.mayBeTruncated()).isFalse();
            mapping.overlay(0, file, 0, page);
            assertThat(mapping.mayBeTruncated()).isTrue();
        }
    }

    @Test
    void discardedMemoryReadsAsZeros() throws IOException {
        try (Mapping mapping = Mapping.memfd(posix, "guest", 4 * page, HugePages.NONE);
                Mapping anonymous = Mapping.anonymous(posix, 4 * page, HugePages.NONE)) {
            mapping.segment().fill((byte) 1);
            anonymous.segment().fill((byte) 1);
            assertThat(mapping.advise(page, page, Advice.REMOVE)).isTrue();
            assertThat(anonymous.advise(page, page, Advice.DISCARD)).isTrue();
            assertThat(populated(mapping)).containsExactly(range(0, page), range(2 * page, 2 * page));
            assertThat(populated(anonymous)).containsExactly(range(0, page), range(2 * page, 2 * page));
            assertThat(Pages.isZero(mapping.segment(), page, page)).isTrue();
            assertThat(Pages.isZero(anonymous.segment(), page, page)).isTrue();
        }
    }

    @Test
    void populatingGivesEveryPageThatIsTouchedMemory() throws IOException {
        try (Mapping mapping = Mapping.anonymous(posix, 6 * page, HugePages.NONE)) {
            mapping.populate(page + 1, 1);
            assertThat(populated(mapping)).containsExactly(range(page, page));
            mapping.populate(4 * page - 1, 2);
            assertThat(populated(mapping)).containsExactly(range(page, page), range(3 * page, 2 * page));
            mapping.populate(2 * page, 0);
            assertThat(populated(mapping)).as("nothing is touched").containsExactly(
                    range(page, page), range(3 * page, 2 * page));
            assertThatThrownBy(() -> mapping.populate(5 * page, page + 1)).isInstanceOf(
                    IndexOutOfBoundsException.class);
            faulty.at("madvise", faulty.calls("madvise") + 1).fails(Errno.EINVAL);
            mapping.populate(0, page);
            assertThat(populated(mapping)).as("an old kernel cannot").doesNotContain(range(0, page));
        }
    }

    @Test
    void adviceThatTheKernelRefusesIsAnErrorOrAnAnswer() throws IOException {
        try (Mapping mapping = Mapping.anonymous(posix, 4 * page, HugePages.NONE)) {
            faulty.at("madvise", 1).fails(Errno.EINVAL).at("madvise", 2).isInterrupted()
                    .at("madvise", 4).fails(Errno.ENOMEM);
            assertThat(mapping.advise(0, page, Advice.POPULATE_READ)).as("unknown to an old kernel").isFalse();
            assertThat(mapping.advise(0, page, Advice.POPULATE_READ)).as("interrupted, then done").isTrue();
            assertThatThrownBy(() -> mapping.advise(0, page, Advice.POPULATE_WRITE))
                    .isInstanceOf(SystemCallException.class).hasMessageContainingAll("POPULATE_WRITE", "ENOMEM");
            assertThatThrownBy(() -> mapping.advise(page, 4 * page, Advice.DISCARD))
                    .isInstanceOf(IndexOutOfBoundsException.class);
        }
    }

    @Test
    void closingWhileASystemCallUsesTheMemoryFailsAndLeavesItOpen() throws Exception {
        Posix direct = Posix.host();
        Mapping mapping = Mapping.anonymous(posix, page, HugePages.NONE);
        try (Descriptor held = create("lock"); Descriptor waiting = create("lock"); Arena arena = Arena.ofConfined()) {
            MemorySegment lock = mapping.segment();
            fileLock(lock, F_WRLCK);
            assertThat(direct.fcntl(held.number(), F_OFD_SETLKW, lock)).isZero();
            CompletableFuture<Integer> thread = new CompletableFuture<>();
            CompletableFuture<Integer> result = new CompletableFuture<>();
            Thread waiter = Thread.ofPlatform().start(() -> {
                thread.complete(direct.gettid());
                result.complete(direct.fcntl(waiting.number(), F_OFD_SETLKW, lock));
            });
            // The kernel says which call a thread is in; its third argument is the memory.
            Path call = Path.of("/proc/self/task/" + thread.get() + "/syscall");
            String address = "0x" + Long.toHexString(lock.address());
            while (!result.isDone() && !Files.readString(call).contains(address)) {
                Thread.onSpinWait();
            }
            assertThatThrownBy(mapping::close).isInstanceOf(IllegalStateException.class);
            assertThat(lock.get(ValueLayout.JAVA_SHORT, 0)).isEqualTo(F_WRLCK);
            MemorySegment unlock = arena.allocate(32, Long.BYTES);
            fileLock(unlock, F_UNLCK);
            assertThat(direct.fcntl(held.number(), F_OFD_SETLKW, unlock)).isZero();
            waiter.join();
            assertThat(result.get()).isZero();
        }
        mapping.close();
    }

    /** A {@code struct flock} of the whole file. */
    private static void fileLock(MemorySegment lock, short type) {
        lock.asSlice(0, 32).fill((byte) 0);
        lock.set(ValueLayout.JAVA_SHORT, 0, type);
    }

    @Test
    void heldMemoryStaysMappedUntilTheLastHoldAndTheMappingAreClosed() throws IOException {
        for (boolean mappingFirst : List.of(true, false)) {
            int before = faulty.calls("munmap");
            Mapping mapping = Mapping.memfd(posix, "held", 4 * page, HugePages.NONE);
            long address = mapping.address();
            GuestMemory.Hold first = mapping.hold();
            GuestMemory.Hold second = mapping.hold();
            List<AutoCloseable> rest = mappingFirst
                    ? List.of(mapping, mapping, first, first, second) : List.of(first, first, second, mapping);
            for (AutoCloseable each : rest) {
                assertThat(faulty.calls("munmap")).isEqualTo(before);
                assertThat(posix.msync(address, 4 * page, constants.MS_ASYNC)).isZero();
                assertThatCode(each::close).doesNotThrowAnyException();
                assertThat(mapping.segment().scope().isAlive()).isEqualTo(each != mapping && !mappingFirst);
            }
            assertThat(faulty.calls("munmap")).isEqualTo(before + 1);
            second.close();
            assertThat(faulty.calls("munmap")).isEqualTo(before + 1);
            assertThatThrownBy(mapping::hold).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("held is closed");
            assertThatThrownBy(mapping::requireOpen).isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void msyncTellsWhetherAllOfARangeIsMapped() throws IOException {
        long reserved = posix.mmap(0, 3 * page, constants.PROT_NONE,
                constants.MAP_PRIVATE | constants.MAP_ANONYMOUS | constants.MAP_NORESERVE, -1, 0);
        assertThat(posix.msync(reserved, 3 * page, constants.MS_ASYNC)).isZero();
        assertThat(posix.munmap(reserved + page, page)).isZero();
        int result = posix.msync(reserved, 3 * page, constants.MS_ASYNC);
        assertThat(constants.failedWith(result, Errno.ENOMEM)).isTrue();
        assertThat(posix.munmap(reserved, 3 * page)).isZero();
    }

    @Test
    void everyFaultWhileMappingLeavesNothingBehind() throws IOException {
        Creation[] creations = {
            calls -> Mapping.anonymous(calls, MIB, HugePages.NONE),
            calls -> Mapping.anonymous(calls, MIB, HugePages.TRANSPARENT),
            calls -> Mapping.memfd(calls, "guest", MIB, HugePages.NONE),
            calls -> Mapping.memfd(calls, "guest", MIB, HugePages.TRANSPARENT),
        };
        for (Creation creation : creations) {
            FaultyPosix counting = FaultyPosix.host();
            creation.create(counting.posix()).close();
            for (int position = 1; position <= counting.calls(); position++) {
                for (Errno errno : List.of(Errno.EIO, Errno.ENOMEM, Errno.EINTR)) {
                    FaultyPosix failing = FaultyPosix.host().at(position).fails(errno);
                    try {
                        creation.create(failing.posix()).close();
                    } catch (IOException expected) {
                        assertThat(expected).hasMessageContaining(errno.name());
                    }
                    assertThat(failing.struck()).isTrue();
                    assertThat(failing.openDescriptors()).as("%s at call %d", errno, position).isEmpty();
                    assertThat(failing.mappedBytes()).as("%s at call %d", errno, position).isZero();
                }
            }
        }
    }

    @Test
    void reservedHugePagesAreUsedOrRefusedAtOnce() throws IOException {
        // By lines: readString asks for a byte first, and of a number in /proc/sys the kernel gives no second piece.
        long pool = Long.parseLong(Files.readAllLines(Path.of("/proc/sys/vm/nr_hugepages")).getFirst());
        assertThatThrownBy(() -> Mapping.anonymous(posix, page, HugePages.RESERVED))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("huge pages' size");
        long hugePage = Files.readAllLines(Path.of("/proc/meminfo")).stream()
                .filter(line -> line.startsWith("Hugepagesize:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) << 10).findFirst().orElseThrow();
        assertThatThrownBy(() -> Mapping.anonymous(posix, (pool + 1) * hugePage, HugePages.RESERVED))
                .isInstanceOf(SystemCallException.class).hasMessageContainingAll("ENOMEM", "vm.nr_hugepages");
        assumeTrue(pool >= 2, "no huge pages are reserved; sysctl -w vm.nr_hugepages=2 enables this test");
        try (Mapping anonymous = Mapping.anonymous(posix, hugePage, HugePages.RESERVED);
                Mapping memfd = Mapping.memfd(posix, "guest", hugePage, HugePages.RESERVED)) {
            anonymous.segment().set(ValueLayout.JAVA_LONG, hugePage - 8, 1);
            memfd.segment().set(ValueLayout.JAVA_LONG, hugePage - 8, 1);
            assertThat(populated(anonymous)).containsExactly(range(0, hugePage));
            assertThat(populated(memfd)).containsExactly(range(0, hugePage));
        }
    }

    private interface Creation {
        Mapping create(Posix posix) throws IOException;
    }

    private Descriptor create(String name) throws IOException {
        return Descriptor.open(posix, directory.resolve(name), constants.O_RDWR | constants.O_CREAT, 0600);
    }

    /** A file with one page of each letter, named after them. */
    private Descriptor fileOf(char... letters) throws IOException {
        Descriptor file = create(new String(letters));
        try (Arena arena = Arena.ofConfined()) {
            for (int index = 0; index < letters.length; index++) {
                file.writeFully(arena.allocate(page).fill((byte) letters[index]), index * page);
            }
        }
        return file;
    }

    private String bytes(Mapping mapping) {
        StringBuilder letters = new StringBuilder();
        for (long at = 0; at < mapping.lengthBytes(); at += page) {
            letters.append((char) mapping.segment().get(ValueLayout.JAVA_BYTE, at));
        }
        return letters.toString();
    }

    private static List<String> populated(Mapping mapping) throws IOException {
        List<String> ranges = new ArrayList<>();
        mapping.populated(0, mapping.lengthBytes(), (at, length) -> ranges.add(range(at, length)));
        return ranges;
    }

    private static String range(long offset, long lengthBytes) {
        return offset + "+" + lengthBytes;
    }
}
