package io.microsnap.core.file;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.TMPFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.posix.Constants;
import io.microsnap.core.posix.Descriptor;
import io.microsnap.core.posix.Posix;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Collectors;

class ReflinkTest {
    private final Posix posix = Posix.host();
    private final Constants constants = posix.constants();
    private final Reflink reflink = new Reflink();

    @RealFileSystems({XFS, BTRFS})
    void aCloneHasItsOwnInodeAndNeitherSideSeesTheOthersWrites(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), bytes(1 << 20));
        Path clone = directory.resolve("clone");
        assertThat(reflink.clone(posix, source, clone, Durability.FULL)).isEqualTo(new ReflinkOutcome.Cloned());
        assertThat(clone).hasSameBinaryContentAs(source);
        assertThat(Files.getAttribute(clone, "unix:ino")).isNotEqualTo(Files.getAttribute(source, "unix:ino"));
        try (Descriptor open = read(clone)) {
            assertThat(Extents.summary(open).orElseThrow().sharedBytes()).isEqualTo(1 << 20);
        }
        Files.writeString(clone, "changed");
        assertThat(source).hasBinaryContent(bytes(1 << 20));
    }

    @RealFileSystems({XFS, BTRFS})
    void whatACloneStillHasInCommonWithItsSourceIsNamed(Path directory) throws IOException {
        Path source = Files.write(directory.resolve("source"), bytes(1 << 20));
        Path copy = Files.write(directory.resolve("copy"), bytes(1 << 20));
        Path clone = directory.resolve("clone");
        reflink.clone(posix, source, clone, Durability.FULL);
        try (Descriptor changed = Descriptor.open(posix, clone, constants.O_RDWR, 0);
                Descriptor original = read(source); Descriptor other = read(copy); Arena arena = Arena.ofConfined()) {
            changed.writeFully(arena.allocate(64 << 10), 128 << 10);
            assertThat(inCommon(changed, original))
                    .isEqualTo((128 << 10) + " bytes at 0, " + (832 << 10) + " bytes at " + (192 << 10));
            assertThat(inCommon(original, other)).as("equal bytes in blocks of their own").isEmpty();
        }
    }

    @RealFileSystems({EXT4, TMPFS})
    void filesWithBlocksOfTheirOwnHaveNoneInCommon(Path directory) throws IOException {
        Path one = Files.write(directory.resolve("one"), bytes(1 << 20));
        Path other = Files.write(directory.resolve("other"), bytes(1 << 20));
        try (Descriptor left = read(one); Descriptor right = read(other)) {
            assertThat(inCommon(left, right)).isEmpty();
        }
    }

    /** Ranges that touch are joined: how a filesystem cuts its extents is its own affair. */
    private static String inCommon(Descriptor left, Descriptor right) throws IOException {
        TreeMap<Long, Long> joined = new TreeMap<>();
        Extents.inCommon(left, right, (offset, length) -> {
            Map.Entry<Long, Long> last = joined.lastEntry();
            if (last != null && last.getKey() + last.getValue() == offset) {
                joined.put(last.getKey(), last.getValue() + length);
            } else {
                joined.put(offset, length);
            }
        });
        return joined.entrySet().stream().map(range -> range.getValue() + " bytes at " + range.getKey())
                .collect(Collectors.joining(", "));
    }

    @RealFileSystems({EXT4, TMPFS})
    void aFilesystemWithoutClonesIsUnsupportedAndNothingIsMade(Path directory) throws IOException {
        Path source = Files.writeString(directory.resolve("source"), "content");
        assertThat(reflink.clone(posix, source, directory.resolve("clone"), Durability.NONE))
                .isInstanceOf(ReflinkOutcome.Unsupported.class);
        assertThat(SparseFiles.namesIn(directory)).containsExactly("source");
    }

    @RealFileSystems
    void aMissingSourceVanishedAndAMissingDirectoryIsAnErrorThatNamesIt(Path directory) throws IOException {
        assertThat(reflink.clone(posix, directory.resolve("none"), directory.resolve("clone"), Durability.NONE))
                .isEqualTo(new ReflinkOutcome.SourceVanished());
        assertThat(SparseFiles.namesIn(directory)).isEmpty();
        Path source = Files.writeString(directory.resolve("source"), "content");
        assertThatThrownBy(() -> reflink.clone(posix, source, directory.resolve("none/clone"), Durability.NONE))
                .isInstanceOf(NoSuchFileException.class).hasMessageContaining(directory.resolve("none").toString());
    }

    @RealFileSystems
    void aProbeTellsAndLeavesNothingBehind(
            Path directory, io.microsnap.testsupport.FileSystemKind kind) throws IOException {
        assertThat(reflink.probe(posix, directory).isCloned()).isEqualTo(kind.reflinks());
        assertThat(SparseFiles.namesIn(directory)).isEmpty();
    }

    @RealFileSystems({XFS, BTRFS})
    void aNameThatIsTakenIsNeverTouched(Path directory) throws IOException {
        Path source = Files.writeString(directory.resolve("source"), "content");
        Path taken = Files.writeString(directory.resolve("taken"), "precious");
        assertThatThrownBy(() -> reflink.clone(posix, source, taken, Durability.NONE))
                .isInstanceOf(FileAlreadyExistsException.class);
        assertThat(taken).hasContent("precious");
        assertThat(SparseFiles.namesIn(directory)).containsExactlyInAnyOrder("source", "taken");
    }

    private Descriptor read(Path file) throws IOException {
        return Descriptor.open(posix, file, constants.O_RDONLY, 0);
    }

    static byte[] bytes(int length) {
        byte[] bytes = new byte[length];
        new Random(7).nextBytes(bytes);
        return bytes;
    }
}
