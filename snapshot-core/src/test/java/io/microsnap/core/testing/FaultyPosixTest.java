package io.microsnap.core.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

@EnabledOnOs(OS.LINUX)
class FaultyPosixTest {
    private final FaultyPosix faulty = FaultyPosix.host();
    private final Posix posix = faulty.posix();
    private final Constants constants = posix.constants();
    @TempDir
    Path directory;

    @Test
    void callsAreCountedByNameAndInAll() throws IOException {
        write("0123456789");
        assertThat(faulty.calls()).isEqualTo(3);
        assertThat(faulty.callsByName()).isEqualTo(Map.of("openat", 1, "pwrite", 1, "close", 1));
        assertThat(faulty.struck()).isFalse();
    }

    @Test
    void theNthCallFailsAndNoOther() throws IOException {
        faulty.at("pwrite", 2).fails(Errno.ENOSPC);
        write("one");
        assertThatThrownBy(() -> write("two")).isInstanceOfSatisfying(SystemCallException.class,
                failure -> assertThat(failure.errno()).isEqualTo(Errno.ENOSPC));
        assertThat(content()).isEqualTo("one");
        write("six");
        assertThat(content()).isEqualTo("six");
        assertThat(faulty.struck()).isTrue();
        assertThat(faulty.openDescriptors()).isEmpty();
    }

    @Test
    void aShortOrInterruptedWriteIsFinishedByTheDescriptor() throws IOException {
        faulty.at(2).fallsShort().at(3).isInterrupted();
        write("0123456789");
        assertThat(content()).isEqualTo("0123456789");
        assertThat(faulty.calls("pwrite")).isEqualTo(3);
    }

    @Test
    void aWriteThatTransfersNothingIsAnErrorAndNotAnEndlessLoop() {
        faulty.every("pwrite").transfersNothing();
        assertThatThrownBy(() -> write("x")).isInstanceOf(SnapshotException.class).hasMessageContaining("progress");
    }

    @Test
    void aFailedCloseHasClosed() throws IOException {
        faulty.at("close", 1).fails(Errno.EIO);
        assertThatThrownBy(() -> write("x")).isInstanceOf(SystemCallException.class);
        assertThat(faulty.openDescriptors()).isEmpty();
    }

    @Test
    void theDeadDoNothingMoreAndAreBuried() throws IOException {
        write("old");
        faulty.deadFrom(faulty.calls() + 2);
        assertThatThrownBy(() -> write("new")).isInstanceOf(FaultyPosix.Dead.class);
        assertThat(content()).isEqualTo("old");
        assertThat(faulty.openDescriptors()).as("close in a finally was not made either").hasSize(1);
        int left = faulty.openDescriptors().getFirst();
        faulty.bury();
        assertThat(faulty.openDescriptors()).isEmpty();
        assertThat(constants.errno(Posix.host().fcntl(left, constants.F_GETFD, 0))).isEqualTo(Errno.EBADF);
    }

    @Test
    void mappedBytesFollowPartialUnmapping() {
        long page = posix.getpagesize();
        long at = posix.mmap(0, 4 * page, constants.PROT_READ, constants.MAP_PRIVATE | constants.MAP_ANONYMOUS, -1, 0);
        assertThat(posix.munmap(at + page, page)).isZero();
        assertThat(faulty.mappedBytes()).isEqualTo(3 * page);
        assertThat(posix.mmap(at, 2 * page, constants.PROT_READ,
                constants.MAP_PRIVATE | constants.MAP_ANONYMOUS | constants.MAP_FIXED, -1, 0)).isEqualTo(at);
        assertThat(faulty.mappedBytes()).isEqualTo(4 * page);
        assertThat(posix.munmap(at, 4 * page)).isZero();
        assertThat(faulty.mappedBytes()).isZero();
    }

    @Test
    void observersSeeEveryCallAndItsResult() throws IOException {
        List<String> seen = new ArrayList<>();
        faulty.before(call -> seen.add("before " + call.name()))
                .after((call, result) -> seen.add("after " + call.name() + " " + (result >= 0)));
        write("x");
        assertThat(seen).containsExactly("before openat", "after openat true", "before pwrite", "after pwrite true",
                "before close", "after close true");
    }

    @Test
    void aKilledProcessIsGoneBeforeTheCall() throws IOException, InterruptedException {
        Path file = Files.writeString(directory.resolve("file"), "old");
        Process child = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path"),
                KilledWriter.class.getName(), file.toString()).inheritIO().start();
        assertThat(child.waitFor()).as("exit status of a process killed by signal 9").isEqualTo(128 + 9);
        assertThat(Files.readString(file)).isEqualTo("new");
    }

    private void write(String text) throws IOException {
        write(posix, directory.resolve("file"), text);
    }

    private String content() throws IOException {
        return Files.readString(directory.resolve("file"));
    }

    private static void write(Posix posix, Path file, String text) throws IOException {
        try (Descriptor open = Descriptor.open(posix, file,
                posix.constants().O_RDWR | posix.constants().O_CREAT, 0600); Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocateFrom(text);
            open.writeFully(bytes.asSlice(0, text.length()), 0);
        }
    }

    /** Writes twice; the second write kills it. */
    static final class KilledWriter {
        private KilledWriter() {
        }

        public static void main(String[] arguments) throws IOException {
            Posix killing = FaultyPosix.host().at("pwrite", 2).killsTheProcess().posix();
            write(killing, Path.of(arguments[0]), "new");
            write(killing, Path.of(arguments[0]), "lost");
        }
    }
}
