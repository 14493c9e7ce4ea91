package io.microsnap.store.internal;

import static io.microsnap.store.internal.Snapshots.id;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.FileCopy;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.store.MissingBaseException;
import io.microsnap.store.Recovered;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.StoreOptions;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.TinyFileSystem;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whatever lies in a store's directory: a clear answer, and everything else in the store stays usable. */
class HostileStoreTest {
    private final Posix posix = Posix.host();
    @TempDir
    Path directory;
    private Path path;
    private DirectoryStore store;

    @BeforeEach
    void aStoreWithASoundSnapshotAndOneToSpoil() throws IOException {
        path = directory.resolve("store");
        store = DirectoryStore.openOrCreate(posix, path, StoreOptions.PRIVATE);
        Snapshots.publish(store, "sound", 1);
        Snapshots.publish(store, "victim", 2);
    }

    @AfterEach
    void theRestIsUsable() throws IOException {
        assertThat(Snapshots.verify(store, "sound")).isEqualTo(1);
        Snapshots.publish(store, "fresh", 3);
        assertThat(Snapshots.verify(store, "fresh")).isEqualTo(3);
        store.delete(id("sound"));
        store.close();
    }

    @Test
    void aDamagedManifestIsListedWithItsReasonAndItsSnapshotCanBeDeleted() throws IOException {
        byte[] sound = Files.readAllBytes(path.resolve("victim/snapshot.json"));
        for (byte[] spoilt : List.of(new byte[0], Arrays.copyOf(sound, sound.length / 2), new byte[10 << 20],
                "[".repeat(100_000).getBytes(StandardCharsets.UTF_8))) {
            rewrite("victim/snapshot.json", spoilt);
            assertVictimIsDamaged("snapshot.json");
        }
        Files.delete(path.resolve("victim/snapshot.json"));
        assertVictimIsDamaged("snapshot.json is missing");
        assertThatThrownBy(() -> store.hold(id("victim"))).isInstanceOf(DamagedException.class);
        assertThatThrownBy(() -> store.inspect(id("victim"))).isInstanceOf(DamagedException.class);
        store.delete(id("victim"));
        assertThat(store.list()).hasSize(1);
    }

    @Test
    void howMuchIsReadOfAFileIsBoundedBeforeItIsRead() throws IOException {
        rewrite("victim/snapshot.json", new byte[10 << 20]);
        assertVictimIsDamaged("at most 1048576 are allowed");
        rewrite("store.json", new byte[10 << 20]);
        assertThatThrownBy(() -> DirectoryStore.open(posix, path, StoreOptions.PRIVATE))
                .isInstanceOf(DamagedException.class).hasMessageContaining("at most 4096 are allowed");
    }

    @Test
    void theManifestOfAnotherSnapshotIsNotTakenForThisOnes() throws IOException {
        rewrite("victim/snapshot.json", Files.readAllBytes(path.resolve("sound/snapshot.json")));
        assertVictimIsDamaged("is the manifest of sound");
    }

    @Test
    void linksAreNotFollowed() throws IOException {
        Path outside = Files.writeString(directory.resolve("outside"), "secret");
        for (String file : List.of("memory.img", "memory.idx", "snapshot.json", "machine.bin")) {
            Path at = path.resolve("victim").resolve(file);
            byte[] content = Files.readAllBytes(at);
            Path real = Files.write(directory.resolve("real-" + file), content);
            Files.delete(at);
            Files.createSymbolicLink(at, real);
            assertVictimIsDamaged(file);
            Files.delete(at);
            Files.write(at, content);
        }
        Files.createSymbolicLink(path.resolve("linked"), path.resolve("sound"));
        assertThat(entry("linked")).isInstanceOf(SnapshotEntry.Damaged.class);
        assertThatThrownBy(() -> store.hold(id("linked"))).isInstanceOf(IOException.class);
        store.delete(id("linked"));
        assertThat(outside).hasContent("secret");
    }

    @Test
    void anAttachmentsDirectoryThatIsALinkLeadsNowhere() throws IOException {
        Path attachments = path.resolve("victim/attachments");
        Files.move(attachments, directory.resolve("elsewhere"));
        Files.createSymbolicLink(attachments, directory.resolve("elsewhere"));
        assertVictimIsDamaged("attachments");
        store.delete(id("victim"));
        assertThat(directory.resolve("elsewhere/disk.qcow2")).as("deletion does not reach through it").exists();
    }

    @Test
    void pipesMakeNobodyWait() throws Exception {
        Path manifest = path.resolve("victim/snapshot.json");
        Files.delete(manifest);
        assertThat(new ProcessBuilder("mkfifo", manifest.toString()).start().waitFor()).isZero();
        assertVictimIsDamaged("not a plain file");
        store.delete(id("victim"));
    }

    @Test
    void sizesThatDoNotMatchAreToldWithBothNumbers() throws IOException {
        rewrite("victim/memory.img", new byte[100]);
        assertVictimIsDamaged("memory.img has 100 bytes, but its manifest says " + Snapshots.LAYOUT.lengthBytes());
        Files.delete(path.resolve("victim/memory.img"));
        assertVictimIsDamaged("memory.img is missing");
    }

    @Test
    void anIndexThatTheManifestDoesNotNameIsRefused() throws IOException {
        rewrite("victim/memory.idx", Files.readAllBytes(path.resolve("sound/memory.idx")));
        try (StoredSnapshot held = store.hold(id("victim"))) {
            assertThatThrownBy(held::pageIndex).isInstanceOf(DamagedException.class)
                    .hasMessageContaining("its root is");
        }
        rewrite("victim/machine.bin", "machine 3".getBytes(StandardCharsets.UTF_8));
        try (StoredSnapshot held = store.hold(id("victim"))) {
            assertThatThrownBy(held::verifyFiles).isInstanceOf(DamagedException.class);
        }
    }

    @Test
    void aBaseThatIsGoneOrAnotherIsNamed() throws IOException {
        StoredManifest base = Snapshots.publish(store, "base", 4);
        Snapshots.publishDiff(store, "diff", "base", 5);
        Files.move(path.resolve("base"), directory.resolve("moved"));
        assertThatThrownBy(() -> store.hold(id("diff"))).isInstanceOf(MissingBaseException.class)
                .hasMessageContaining(base.uuid().toString()).hasMessageContaining("not there");
        assertThat(((SnapshotEntry.Damaged) entry("diff")).reason()).contains("requires the base", "not there");
        assertThat(store.inspect(id("diff")).requiredBase()).contains(base.reference());
        Snapshots.publish(store, "base", 4);
        assertThatThrownBy(() -> store.hold(id("diff"))).isInstanceOf(MissingBaseException.class)
                .hasMessageContaining("but the store has");
        assertThat(entry("base")).isInstanceOf(SnapshotEntry.Whole.class);
    }

    @Test
    void basesThatRequireEachOtherAreRefused() throws IOException {
        Snapshots.publishDiff(store, "one", "sound", 5);
        StoredManifest two = Snapshots.publishDiff(store, "two", "one", 6);
        StoredManifest one = store.inspect(id("one"));
        SnapshotDescription circular = SnapshotDescription.diff(Snapshots.LAYOUT, two.reference());
        rewrite("one/snapshot.json",
                new StoredManifest(one.id(), one.uuid(), one.created(), circular, one.files()).toJson());
        for (String name : List.of("one", "two")) {
            assertThatThrownBy(() -> store.hold(id(name))).isInstanceOf(DamagedException.class)
                    .hasMessageContaining("circle");
            assertThat(((SnapshotEntry.Damaged) entry(name)).reason()).contains("circle");
        }
    }

    @Test
    void aFeatureNobodyKnowsBlocksUseAndNothingElse() throws IOException {
        try (StagedSnapshot staged = store.stage(id("future"))) {
            Snapshots.fill(staged, 7);
            staged.publish(Snapshots.full(7).withRequired("time-travel"));
        }
        assertThat(entry("future")).isInstanceOf(SnapshotEntry.Whole.class);
        assertThat(store.inspect(id("future")).unknownFeatures()).containsExactly("time-travel");
        assertThatThrownBy(() -> store.hold(id("future"))).isInstanceOf(SnapshotException.class)
                .hasMessageContaining("time-travel");
        store.delete(id("future"));
    }

    @Test
    void namesThatAreNoSnapshotsAreShownAndNeverUsed() throws IOException {
        Files.createDirectory(path.resolve("Upper"));
        Files.createDirectory(path.resolve("with space\u001b[31m"));
        Files.writeString(path.resolve("file"), "?");
        Files.writeString(path.resolve("file\u001b[2J"), "?");
        Files.createDirectory(path.resolve("lost+found"));
        Files.createDirectory(path.resolve(".hidden"));
        assertThat(store.list()).filteredOn(SnapshotEntry.Damaged.class::isInstance).extracting(SnapshotEntry::name)
                .containsExactlyInAnyOrder("Upper", "with space?[31m", "file", "file?[2J");
        assertThat(store.list()).filteredOn(SnapshotEntry.Damaged.class::isInstance).as("reasons, too, are shown")
                .noneMatch(entry -> ((SnapshotEntry.Damaged) entry).reason().contains("\u001b"));
        for (String name : List.of("", ".", "..", "a/b", "../x", ".staging", "store.json", "a\u0000b", "ü")) {
            assertThatIllegalArgumentException().isThrownBy(() -> id(name));
        }
        store.delete(id("file"));
        assertThat(path.resolve("file")).doesNotExist();
    }

    @Test
    void whatSomebodyPutIntoStagingGoesAndWhatItLinksToStays() throws IOException {
        Path kept = Files.createDirectory(directory.resolve("kept"));
        Files.writeString(kept.resolve("precious"), "!");
        Path staging = path.resolve(".staging");
        Files.createSymbolicLink(staging.resolve("link"), kept);
        Files.writeString(staging.resolve("stray"), "?");
        Files.createDirectories(staging.resolve("tree/below"));
        Files.createSymbolicLink(staging.resolve("tree/below/link"), kept);
        Recovered recovered = store.gc();
        assertThat(recovered.removed()).isEqualTo(3);
        assertThat(staging.toFile().list()).isEmpty();
        assertThat(kept.resolve("precious")).hasContent("!");
    }

    @Test
    void stagingOfALiveOwnerStays() throws IOException {
        try (StagedSnapshot staged = store.stage(id("slow"))) {
            Snapshots.fill(staged, 8);
            try (DirectoryStore other = DirectoryStore.open(posix, path, StoreOptions.PRIVATE)) {
                assertThat(other.gc()).isEqualTo(new Recovered(0, 0, 1));
            }
            staged.publish(Snapshots.full(8));
        }
        assertThat(Snapshots.verify(store, "slow")).isEqualTo(8);
    }

    @Test
    void whatIsNoStoreIsNotMadeOne() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "");
        assertThatThrownBy(() -> DirectoryStore.openOrCreate(posix, file, StoreOptions.PRIVATE))
                .isInstanceOf(NotDirectoryException.class);
        Path full = Files.createDirectory(directory.resolve("home"));
        Files.writeString(full.resolve("letter"), "");
        assertThatThrownBy(() -> DirectoryStore.openOrCreate(posix, full, StoreOptions.PRIVATE))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("letter");
        assertThatThrownBy(() -> DirectoryStore.open(posix, full, StoreOptions.PRIVATE))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("store.json");
        assertThat(full.toFile().list()).containsExactly("letter");
        Path newer = directory.resolve("newer");
        DirectoryStore.openOrCreate(posix, newer, StoreOptions.PRIVATE).close();
        Files.delete(newer.resolve("store.json"));
        Files.writeString(newer.resolve("store.json"), "{\"format\": 2}");
        assertThatThrownBy(() -> DirectoryStore.open(posix, newer, StoreOptions.PRIVATE))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("newer version");
    }

    @Test
    void anExistingDirectoryKeepsItsMode() throws IOException {
        for (String mode : List.of("rwxr-xr-x", "rwx------")) {
            Path existing = Files.createDirectory(directory.resolve("mode-" + mode));
            Files.setPosixFilePermissions(existing, PosixFilePermissions.fromString(mode));
            DirectoryStore.openOrCreate(posix, existing, StoreOptions.PRIVATE).close();
            assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(existing))).isEqualTo(mode);
        }
    }

    @Test
    void noStoreIsMadeInsideOfAStoreAndNoneIsTakenForASnapshot() throws IOException {
        for (String inside : List.of("nested", ".staging", "sound/attachments/store", ".staging/0/1")) {
            Path place = path.resolve(inside);
            Files.createDirectories(place.getParent());
            assertThatThrownBy(() -> DirectoryStore.openOrCreate(posix, place, StoreOptions.PRIVATE))
                    .isInstanceOf(SnapshotException.class).hasMessageContaining("would lie in a store of snapshots");
        }
        Files.deleteIfExists(path.resolve("nested"));
        Files.deleteIfExists(path.resolve("sound/attachments/store"));
        Path other = directory.resolve("other");
        try (DirectoryStore made = DirectoryStore.openOrCreate(posix, other, StoreOptions.PRIVATE)) {
            Snapshots.publish(made, "precious", 4);
        }
        Path nested = path.resolve("nested");
        Files.move(other, nested);
        assertThatThrownBy(() -> store.delete(id("nested"))).isInstanceOf(SnapshotException.class)
                .hasMessageContaining("is a store");
        assertThatThrownBy(() -> store.deleteForcibly(id("nested"))).isInstanceOf(SnapshotException.class)
                .hasMessageContaining("is a store");
        assertThatThrownBy(() -> Snapshots.publish(store, "nested", 5, IfExists.REPLACE_EVEN_IF_HELD))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("is a store");
        assertThat(entry("nested")).isInstanceOfSatisfying(SnapshotEntry.Unreadable.class,
                unreadable -> assertThat(unreadable.reason()).contains("is a store"));
        try (DirectoryStore rescued = DirectoryStore.open(posix, nested, StoreOptions.PRIVATE)) {
            assertThat(Snapshots.verify(rescued, "precious")).isEqualTo(4);
        }
        Files.move(nested, other);
    }

    @Test
    void anImageThatSomebodyWroteIsNotReplaced() throws IOException {
        Path image = path.resolve("victim/memory.img");
        try (StoredSnapshot held = store.hold(id("victim"));
                StagedReplacement successor = store.stageImage(held, held.image())) {
            if (successor.descriptor().sizeBytes() == 0) {
                FileCopy.fill(held.image(), successor.descriptor(), Progress.NONE);
            }
            Files.setPosixFilePermissions(image, PosixFilePermissions.fromString("rw-------"));
            byte[] written = Files.readAllBytes(image);
            written[5] ^= 1;
            Files.write(image, written);
            assertThatThrownBy(successor::commit).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("memory.img was written or replaced");
            assertThat(Files.readAllBytes(image)).isEqualTo(written);
        }
    }

    @Test
    void aFailedSyncOfTheStoreIsUndone() throws IOException {
        FaultyPosix counting = FaultyPosix.host();
        try (DirectoryStore counted = DirectoryStore.open(counting.posix(), path, StoreOptions.PRIVATE)) {
            Snapshots.publish(counted, "counted", 1);
        }
        FaultyPosix failing = FaultyPosix.host().at("fsync", counting.calls("fsync")).fails(Errno.EIO);
        try (DirectoryStore unlucky = DirectoryStore.open(failing.posix(), path, StoreOptions.PRIVATE)) {
            assertThatThrownBy(() -> Snapshots.publish(unlucky, "unlucky", 1)).hasMessageContaining("fsync");
        }
        assertThat(failing.struck()).isTrue();
        assertThat(store.list()).extracting(SnapshotEntry::name).doesNotContain("unlucky");
    }

    @Test
    void aFullFilesystemIsToldAndLeavesTheStoreAsItWas(@TinyFileSystem Path tiny) throws IOException {
        try (DirectoryStore small = DirectoryStore.openOrCreate(posix, tiny.resolve("store"), StoreOptions.PRIVATE)) {
            Snapshots.publish(small, "kept", 1);
            Path ballast = tiny.resolve("ballast");
            assertThatThrownBy(() -> {
                try (var out = Files.newOutputStream(ballast)) {
                    while (true) {
                        out.write(new byte[4096]);
                    }
                }
            }).isInstanceOf(IOException.class);
            assertThatThrownBy(() -> Snapshots.publish(small, "refused", 2)).isInstanceOfSatisfying(
                    SystemCallException.class, full -> assertThat(full.errno()).isEqualTo(Errno.ENOSPC));
            assertThat(small.list()).hasSize(1);
            assertThat(Snapshots.verify(small, "kept")).isEqualTo(1);
            assertThat(tiny.resolve("store/.staging").toFile().list()).isEmpty();
            Files.delete(ballast);
            Snapshots.publish(small, "refused", 2);
        }
    }

    @RealFileSystems(FileSystemKind.TMPFS)
    void aReadOnlyFilesystemCanBeReadAndSaysWhyItCannotBeChanged(Path writable) throws Exception {
        Path source = writable.resolve("store");
        try (DirectoryStore filled = DirectoryStore.openOrCreate(posix, source, StoreOptions.PRIVATE)) {
            Snapshots.publish(filled, "name", 1);
        }
        Files.createDirectory(source.resolve(".staging").resolve(UUID.randomUUID().toString()));
        Path mount = Files.createDirectory(writable.resolve("mount"));
        run("mount", "--bind", source.toString(), mount.toString());
        try {
            run("mount", "-o", "remount,bind,ro", mount.toString());
            try (DirectoryStore readOnly = DirectoryStore.open(posix, mount, StoreOptions.PRIVATE)) {
                assertThat(Snapshots.verify(readOnly, "name")).isEqualTo(1);
                assertThat(readOnly.list()).hasSize(1);
                for (Attempt attempt : List.<Attempt>of(() -> readOnly.delete(id("name")),
                        () -> Snapshots.publish(readOnly, "new", 1), readOnly::gc)) {
                    assertThatThrownBy(attempt::make).isInstanceOfSatisfying(SystemCallException.class,
                            failure -> assertThat(failure.errno()).isEqualTo(Errno.EROFS));
                }
            }
        } finally {
            run("umount", mount.toString());
        }
    }

    private interface Attempt {
        void make() throws IOException;
    }

    private static void run(String... command) throws Exception {
        assertThat(new ProcessBuilder(command).inheritIO().start().waitFor()).as(String.join(" ", command)).isZero();
    }

    private void assertVictimIsDamaged(String reason) throws IOException {
        assertThat(entry("victim")).isInstanceOfSatisfying(SnapshotEntry.Damaged.class,
                damaged -> assertThat(damaged.reason()).contains(reason));
        assertThat(entry("sound")).isInstanceOf(SnapshotEntry.Whole.class);
        assertThatThrownBy(() -> store.hold(id("victim"))).isInstanceOf(IOException.class)
                .hasMessageContaining(reason);
    }

    private SnapshotEntry entry(String name) throws IOException {
        return store.list().stream().filter(entry -> entry.name().equals(name)).findFirst().orElseThrow();
    }

    private void rewrite(String file, byte[] content) throws IOException {
        Files.delete(path.resolve(file));
        Files.write(path.resolve(file), content);
    }
}
