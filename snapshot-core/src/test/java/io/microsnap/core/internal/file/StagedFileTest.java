package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.IfExists;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StagedFileTest {
    private final Posix posix = Posix.host();
    private final Constants constants = posix.constants();
    @TempDir
    Path temporary;

    @RealFileSystems
    void aCommittedFileAppearsWholeWithNothingBesideIt(Path directory) throws IOException {
        for (Durability durability : Durability.values()) {
            Path file = directory.resolve(durability.name());
            try (StagedFile staged = StagedFile.create(posix, file)) {
                write(staged, "content");
                assertThat(file).doesNotExist();
                staged.commit(durability);
                assertThat(file).hasContent("content");
            }
        }
        assertThat(namesIn(directory)).containsExactlyInAnyOrder("NONE", "DATA", "FULL");
    }

    @RealFileSystems
    void aCommitReplacesTheOldFileAtEachDurability(Path directory) throws IOException {
        for (Durability durability : Durability.values()) {
            Path file = Files.writeString(directory.resolve(durability.name()), "old and longer");
            try (StagedFile staged = StagedFile.create(posix, file)) {
                write(staged, "new");
                assertThat(file).hasContent("old and longer");
                staged.commit(durability);
                assertThat(namesIn(directory)).as("the old file is gone at once").noneMatch(this::isStaged);
            }
            assertThat(file).hasContent("new");
        }
        assertThat(namesIn(directory)).containsExactlyInAnyOrder("NONE", "DATA", "FULL");
    }

    @RealFileSystems
    void aFileClosedWithoutCommitIsGoneAndTheDestinationAsItWas(Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "old");
        StagedFile staged = StagedFile.create(posix, file);
        write(staged, "new");
        staged.close();
        staged.close();
        assertThat(file).hasContent("old");
        assertThat(namesIn(directory)).containsExactly("file");
        assertThatThrownBy(staged::descriptor).isInstanceOf(IllegalStateException.class);
    }

    @RealFileSystems
    void anExistingFileIsRefusedWhenAskedAndMayStillBeReplaced(Path directory) throws IOException {
        Path file = directory.resolve("file");
        try (StagedFile staged = StagedFile.create(posix, file)) {
            write(staged, "new");
            Files.writeString(file, "came first");
            assertThatThrownBy(() -> staged.commit(Durability.FULL, IfExists.REFUSE))
                    .isInstanceOf(FileAlreadyExistsException.class).hasMessageContaining(file.toString());
            assertThat(file).hasContent("came first");
            staged.commit(Durability.FULL, IfExists.REPLACE);
            assertThatThrownBy(() -> staged.commit(Durability.FULL)).isInstanceOf(IllegalStateException.class);
        }
        assertThat(file).hasContent("new");
    }

    @Test
    void aPipeUnderAStagedNameIsNotTakenForALeftover() throws Exception {
        Path pipe = temporary.resolve(".microsnap-0123456789abcdef.staged");
        assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
        StagedFile.create(posix, temporary.resolve("file")).close();
        assertThat(pipe).exists();
    }

    @Test
    void aStagedFileIsPrivateLockedAndNamedUnguessably() throws IOException {
        try (StagedFile one = StagedFile.create(posix, temporary.resolve("file"));
                StagedFile two = StagedFile.create(posix, temporary.resolve("file"))) {
            List<String> names = namesIn(temporary);
            assertThat(names).hasSize(2).allMatch(this::isStaged);
            for (String name : names) {
                Path path = temporary.resolve(name);
                assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path))).isEqualTo("rw-------");
                try (Descriptor other = Descriptor.open(posix, path, constants.O_RDONLY, 0)) {
                    assertThat(other.tryLock(false)).as("its owner holds the lock").isFalse();
                }
            }
            write(one, "one");
            write(two, "two");
            one.commit(Durability.NONE);
            assertThat(temporary.resolve("file")).hasContent("one");
            two.commit(Durability.NONE);
            assertThat(temporary.resolve("file")).hasContent("two");
        }
    }

    @RealFileSystems
    void theNextOneRemovesWhatDeadOwnersLeftAndNothingElse(Path directory) throws IOException {
        Path dead = Files.writeString(directory.resolve(".microsnap-0123456789abcdef.staged"), "dead");
        Path notOurs = Files.writeString(directory.resolve(".microsnap-0123456789ABCDEF.staged"), "another form");
        Path precious = Files.writeString(directory.resolve("precious"), "precious");
        Path link = Files.createSymbolicLink(directory.resolve(".microsnap-00000000000000aa.staged"), precious);
        Path folder = Files.createDirectory(directory.resolve(".microsnap-00000000000000bb.staged"));
        try (StagedFile living = StagedFile.create(posix, directory.resolve("living"))) {
            assertThat(dead).doesNotExist();
            write(living, "living");
            StagedFile.create(posix, directory.resolve("other")).close();
            living.commit(Durability.NONE);
        }
        assertThat(directory.resolve("living")).hasContent("living");
        assertThat(precious).hasContent("precious");
        assertThat(notOurs).exists();
        assertThat(folder).exists();
        assertThat(Files.exists(link, LinkOption.NOFOLLOW_LINKS)).isTrue();
    }

    @Test
    void aDestinationThatIsNoPlainFileIsRefusedBeforeAnythingIsWritten() throws IOException {
        Path target = Files.writeString(temporary.resolve("target"), "target");
        Path link = Files.createSymbolicLink(temporary.resolve("link"), target);
        Path folder = Files.createDirectory(temporary.resolve("folder"));
        assertThatThrownBy(() -> StagedFile.create(posix, link))
                .isInstanceOf(SnapshotException.class).hasMessageContaining(link + " is a symbolic link");
        assertThatThrownBy(() -> StagedFile.create(posix, folder))
                .isInstanceOf(FileSystemException.class).hasMessageContaining(folder + ": it is a directory");
        assertThatThrownBy(() -> StagedFile.create(posix, Path.of("/"))).isInstanceOf(FileSystemException.class);
        assertThatThrownBy(() -> StagedFile.create(posix, temporary.resolve("none/file")))
                .isInstanceOf(NoSuchFileException.class).hasMessageContaining(temporary.resolve("none").toString());
        assertThatThrownBy(() -> StagedFile.create(posix, target.resolve("file")))
                .isInstanceOf(FileSystemException.class).hasMessageContaining(target.toString());
        assertThat(namesIn(temporary)).containsExactlyInAnyOrder("target", "link", "folder");
    }

    @RealFileSystems
    void aDirectoryOrLinkThatTakesTheNameMeanwhileIsNotTouched(Path directory) throws IOException {
        Path precious = Files.writeString(directory.resolve("precious"), "precious");
        for (Durability durability : Durability.values()) {
            Path file = directory.resolve("file");
            try (StagedFile staged = StagedFile.create(posix, file)) {
                Files.createDirectory(file);
                Files.writeString(file.resolve("inside"), "inside");
                assertThatThrownBy(() -> staged.commit(durability)).isInstanceOf(IOException.class)
                        .hasMessageContaining("it is a directory");
                assertThat(file.resolve("inside")).hasContent("inside");
                Files.delete(file.resolve("inside"));
                Files.delete(file);
                Files.createSymbolicLink(file, precious);
                if (durability == Durability.FULL) {
                    assertThatThrownBy(() -> staged.commit(durability)).hasMessageContaining("symbolic link");
                    assertThat(file).isSymbolicLink();
                } else {
                    staged.commit(durability);
                    assertThat(file).as("the link is replaced, never followed").isRegularFile();
                }
                Files.delete(file);
            }
        }
        assertThat(precious).hasContent("precious");
        assertThat(namesIn(directory)).containsExactly("precious");
    }

    @RealFileSystems
    void oneParticularFileIsReplacedOnlyIfNobodyWroteItMeanwhile(Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "first");
        for (Durability durability : Durability.values()) {
            Files.writeString(file, "first");
            try (StagedFile staged = StagedFile.create(posix, file)) {
                Stat expected = statusOf(file);
                write(staged, "second");
                Files.writeString(file, "changed");
                assertThat(staged.commitInPlaceOf(expected, durability)).isFalse();
                assertThat(file).hasContent("changed");
                Stat now = statusOf(file);
                assertThat(staged.commitInPlaceOf(now, durability)).isTrue();
                assertThatThrownBy(() -> staged.commitInPlaceOf(now, durability))
                        .isInstanceOf(IllegalStateException.class);
            }
            assertThat(file).hasContent("second");
            assertThat(namesIn(directory)).containsExactly("file");
        }
    }

    @RealFileSystems
    void aWriteBetweenTheLastLookAndTheExchangeIsNotLost(Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "first");
        Stat expected = statusOf(file);
        FaultyPosix racing = FaultyPosix.host();
        racing.before(call -> {
            if (call.name().equals("renameat2") && racing.calls("renameat2") == 1) {
                writeUnchecked(file, "changed");
            }
        });
        try (StagedFile staged = StagedFile.create(racing.posix(), file)) {
            write(staged, "second");
            assertThat(staged.commitInPlaceOf(expected, Durability.FULL)).isFalse();
        }
        assertThat(file).hasContent("changed");
        assertThat(namesIn(directory)).containsExactly("file");
    }

    @Test
    void aFileThatWasWrittenAndCannotBePutBackIsKept() throws IOException {
        Path file = Files.writeString(temporary.resolve("file"), "first");
        Stat expected = statusOf(file);
        FaultyPosix racing = FaultyPosix.host();
        racing.at("renameat2", 2).fails(Errno.EIO).before(call -> {
            if (call.name().equals("renameat2") && racing.calls("renameat2") == 1) {
                writeUnchecked(file, "changed");
            }
        });
        try (StagedFile staged = StagedFile.create(racing.posix(), file)) {
            write(staged, "second");
            assertThatThrownBy(() -> staged.commitInPlaceOf(expected, Durability.FULL))
                    .isInstanceOf(SnapshotException.class).hasMessageMatching(".*written is in \\S+\\.kept .*");
        }
        try (StagedFile next = StagedFile.create(posix, file)) {
            write(next, "third");
        }
        assertThat(file).hasContent("second");
        List<String> kept = namesIn(temporary).stream().filter(name -> name.endsWith(".kept")).toList();
        assertThat(kept).hasSize(1);
        assertThat(temporary.resolve(kept.getFirst())).hasContent("changed");
    }

    private Stat statusOf(Path file) throws IOException {
        try (Descriptor open = Descriptor.open(posix, file, constants.O_RDONLY, 0)) {
            return open.status();
        }
    }

    private static void writeUnchecked(Path file, String text) {
        try {
            Files.writeString(file, text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void aNameThatCouldLeadElsewhereIsRefused() throws IOException {
        int flags = constants.O_RDONLY | constants.O_DIRECTORY;
        try (Descriptor directory = Descriptor.open(posix, temporary, flags, 0)) {
            for (String name : List.of("", ".", "..", "../file", "a/b", "nul\0")) {
                assertThatThrownBy(() -> StagedFile.create(directory, name)).isInstanceOf(InvalidPathException.class);
            }
            try (StagedFile staged = StagedFile.create(directory, "file")) {
                staged.commit(Durability.FULL);
            }
            assertThat(directory.names()).as("the caller's directory stays open").containsExactly("file");
        }
    }

    @RealFileSystems
    void whereNamesCannotBeExchangedTheOldFileIsReplacedAllTheSame(Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "old");
        FaultyPosix faulty = FaultyPosix.host();
        faulty.at("renameat2", 1).fails(Errno.EINVAL);
        try (StagedFile staged = StagedFile.create(faulty.posix(), file)) {
            write(staged, "new");
            staged.commit(Durability.FULL);
        }
        assertThat(file).hasContent("new");
        assertThat(namesIn(directory)).containsExactly("file");
        FaultyPosix failing = FaultyPosix.host();
        failing.at("renameat2", 1).fails(Errno.EINVAL).at("fsync", 2).fails(Errno.EIO);
        try (StagedFile staged = StagedFile.create(failing.posix(), file)) {
            write(staged, "newer");
            assertThatThrownBy(() -> staged.commit(Durability.FULL))
                    .hasMessageContaining("is replaced, but a power failure may bring back the old file");
        }
    }

    @RealFileSystems
    void aFailedSyncIsFinal(Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "old");
        FaultyPosix faulty = FaultyPosix.host();
        faulty.at("fsync", 1).fails(Errno.EIO);
        try (StagedFile staged = StagedFile.create(faulty.posix(), file)) {
            write(staged, "new");
            assertThatThrownBy(() -> staged.commit(Durability.FULL)).hasMessageContaining("EIO");
            for (Durability again : List.of(Durability.DATA, Durability.FULL)) {
                assertThatThrownBy(() -> staged.commit(again)).hasMessageContaining("an earlier sync failed");
            }
        }
        assertThat(faulty.calls("fsync")).as("never tried again").isEqualTo(1);
        assertThat(file).hasContent("old");
        assertThat(namesIn(directory)).containsExactly("file");
    }

    @Test
    void whereNothingCanBeLockedFilesAreStagedAndNothingIsTakenForALeftover() throws IOException {
        Path perhapsAlive = Files.createFile(temporary.resolve(".microsnap-0123456789abcdef.staged"));
        FaultyPosix faulty = FaultyPosix.host();
        faulty.every("flock").fails(Errno.ENOSYS);
        try (StagedFile staged = StagedFile.create(faulty.posix(), temporary.resolve("file"))) {
            write(staged, "content");
            staged.commit(Durability.FULL);
        }
        assertThat(temporary.resolve("file")).hasContent("content");
        assertThat(perhapsAlive).exists();
    }

    @RealFileSystems
    void manyWritersOfOneFileNeverDisturbEachOther(Path directory) throws Exception {
        Path file = directory.resolve("file");
        String content = "x".repeat(5000);
        try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
            List<Future<?>> writers = new ArrayList<>();
            for (int writer = 0; writer < 64; writer++) {
                char own = (char) ('a' + writer % 26);
                Durability durability = writer % 2 == 0 ? Durability.NONE : Durability.FULL;
                writers.add(threads.submit(() -> {
                    try (StagedFile staged = StagedFile.create(posix, file)) {
                        write(staged, content.replace('x', own));
                        staged.commit(durability);
                    }
                    return null;
                }));
            }
            for (Future<?> writer : writers) {
                writer.get();
            }
        }
        String left = Files.readString(file);
        assertThat(left).isEqualTo(content.replace('x', left.charAt(0)));
        assertThat(namesIn(directory)).containsExactly("file");
    }

    @Test
    void aDirectoryWithoutPermissionOrOnAReadOnlyFilesystemSaysSoAndWhatToDo() {
        FaultyPosix readOnly = FaultyPosix.host();
        readOnly.at("openat", 2).fails(Errno.EROFS);
        assertThatThrownBy(() -> StagedFile.create(readOnly.posix(), temporary.resolve("file")))
                .isInstanceOf(SnapshotException.class).hasMessageContaining(temporary.resolve("file").toString())
                .hasMessageContaining("EROFS").hasMessageContaining("mounted read-only");
        FaultyPosix forbidden = FaultyPosix.host();
        forbidden.at("openat", 2).fails(Errno.EACCES);
        assertThatThrownBy(() -> StagedFile.create(forbidden.posix(), temporary.resolve("file")))
                .isInstanceOf(AccessDeniedException.class).hasMessageContaining(temporary.resolve("file").toString())
                .hasMessageContaining("check the owner");
        assertThat(readOnly.openDescriptors()).isEmpty();
        assertThat(forbidden.openDescriptors()).isEmpty();
    }

    static void write(StagedFile staged, String text) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            byte[] bytes = text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
            staged.descriptor().writeFully(
                    arena.allocate(bytes.length).copyFrom(java.lang.foreign.MemorySegment.ofArray(bytes)), 0);
        }
    }

    static List<String> namesIn(Path directory) throws IOException {
        try (Stream<Path> entries = Files.list(directory)) {
            return entries.map(entry -> entry.getFileName().toString()).toList();
        }
    }

    private boolean isStaged(String name) {
        return name.matches("\\.microsnap-[0-9a-f]{16}\\.staged");
    }
}
