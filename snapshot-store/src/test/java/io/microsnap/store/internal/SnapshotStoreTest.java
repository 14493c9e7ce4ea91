package io.microsnap.store.internal;

import static io.microsnap.store.internal.Snapshots.id;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.BusyException;
import io.microsnap.core.DamagedException;
import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.FileCopy;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.store.MissingBaseException;
import io.microsnap.store.Recovered;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.SnapshotRequiredException;
import io.microsnap.store.SpaceUse;
import io.microsnap.store.StoreOptions;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Stream;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SnapshotStoreTest {
    /** How a directory is looked into. */
    private static final String LOOK = "readdir";

    private final Posix posix = Posix.host();
    @TempDir
    Path directory;
    private Path path;
    private DirectoryStore store;

    @BeforeEach
    void open() throws IOException {
        path = directory.resolve("store");
        store = DirectoryStore.openOrCreate(posix, path, StoreOptions.PRIVATE);
    }

    @AfterEach
    void close() throws IOException {
        store.close();
        assertThat(path.resolve(".staging").toFile().list()).as("unfinished work").isEmpty();
    }

    @Test
    void whatIsPublishedIsFoundByEveryoneWhoOpensTheStore() throws IOException {
        StoredManifest published = Snapshots.publish(store, "Golden", 1);
        try (DirectoryStore again = DirectoryStore.open(posix, path, StoreOptions.PRIVATE)) {
            assertThat(again.inspect(id("golden"))).isEqualTo(published);
            assertThat(again.list()).containsExactly(new SnapshotEntry.Whole(published));
            assertThat(Snapshots.verify(again, "GOLDEN")).isEqualTo(1);
        }
        assertThat(published.id().name()).as("the spelling stays").isEqualTo("Golden");
        assertThat(path.resolve("golden")).isDirectory();
    }

    @Test
    void whatIsStagedIsInvisibleAndGoneWhenAbandoned() throws IOException {
        try (StagedSnapshot staged = store.stage(id("a"))) {
            Snapshots.fill(staged, 1);
            assertThat(store.list()).isEmpty();
            assertThatThrownBy(() -> store.hold(id("a"))).isInstanceOf(NoSuchFileException.class)
                    .hasMessageContaining("no snapshot a");
        }
        assertThat(store.list()).isEmpty();
    }

    @Test
    void anIdIsTakenWhateverItsCaseAndReplacedOnlyWhenAsked() throws IOException {
        StoredManifest first = Snapshots.publish(store, "name", 1);
        assertThatThrownBy(() -> Snapshots.publish(store, "NAME", 2)).isInstanceOf(FileAlreadyExistsException.class);
        assertThat(Snapshots.verify(store, "name")).isEqualTo(1);
        StoredManifest second = Snapshots.publish(store, "NAME", 2, IfExists.REPLACE);
        assertThat(Snapshots.verify(store, "name")).isEqualTo(2);
        assertThat(second.uuid()).isNotEqualTo(first.uuid());
        assertThat(store.list()).containsExactly(new SnapshotEntry.Whole(second));
    }

    @Test
    void aRefusedPublicationMayBeTriedAgain() throws IOException {
        Snapshots.publish(store, "name", 1);
        try (StagedSnapshot staged = store.stage(id("name"))) {
            Snapshots.fill(staged, 2);
            assertThatThrownBy(() -> staged.publish(Snapshots.full(2))).isInstanceOf(FileAlreadyExistsException.class);
            staged.publish(Snapshots.full(2), IfExists.REPLACE);
        }
        assertThat(Snapshots.verify(store, "name")).isEqualTo(2);
    }

    @Test
    void aHeldSnapshotIsNeitherDeletedNorReplacedUnlessForced() throws IOException {
        Snapshots.publish(store, "name", 1);
        assertThat(store.isHeld(id("name"))).isFalse();
        try (StoredSnapshot held = store.hold(id("name"))) {
            assertThat(store.isHeld(id("name"))).isTrue();
            assertThatThrownBy(() -> store.delete(id("name"))).isInstanceOf(BusyException.class)
                    .hasMessageContaining("is in use");
            assertThatThrownBy(() -> Snapshots.publish(store, "name", 2, IfExists.REPLACE))
                    .isInstanceOf(BusyException.class)
                    .hasMessageContaining("is in use");
            try (StoredSnapshot another = store.hold(id("name"))) {
                assertThat(another.reference()).isEqualTo(held.reference());
            }
            Snapshots.publish(store, "name", 2, IfExists.REPLACE_EVEN_IF_HELD);
            assertThat(held.image().sizeBytes()).isEqualTo(Snapshots.LAYOUT.lengthBytes());
            assertThatThrownBy(held::pageIndex).as("what was not open yet is gone")
                    .isInstanceOf(NoSuchFileException.class).hasMessageContaining("by force");
        }
        store.delete(id("name"));
        assertThat(store.list()).isEmpty();
        assertThatThrownBy(() -> store.delete(id("name"))).isInstanceOf(NoSuchFileException.class);
    }

    @Test
    void aPublishedSnapshotIsProtectedUntilItsStagingIsClosed() throws IOException {
        try (StagedSnapshot staged = store.stage(id("name"))) {
            Snapshots.fill(staged, 1);
            staged.publish(Snapshots.full(1));
            assertThat(Snapshots.verify(store, "name")).as("others may use it at once").isEqualTo(1);
            assertThatThrownBy(() -> store.delete(id("name"))).isInstanceOf(BusyException.class)
                    .hasMessageContaining("is in use");
        }
        store.delete(id("name"));
    }

    @Test
    void whatIsPublishedIsNeitherPublishedAgainNorAddedTo() throws IOException {
        try (StagedSnapshot staged = store.stage(id("name"))) {
            Snapshots.fill(staged, 1);
            StoredManifest published = staged.publish(Snapshots.full(1));
            for (IfExists ifExists : IfExists.values()) {
                assertThatIllegalStateException().isThrownBy(() -> staged.publish(Snapshots.full(2), ifExists));
            }
            assertThatIllegalStateException().isThrownBy(() -> staged.create(SnapshotFiles.attachment("late")));
            assertThat(store.inspect(id("name"))).isEqualTo(published);
        }
        assertThat(Snapshots.verify(store, "name")).isEqualTo(1);
    }

    @Test
    void anAttachmentIsAFileDirectlyInItsDirectory() throws Exception {
        Path pipe = directory.resolve("pipe");
        assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
        try (StagedSnapshot staged = store.stage(id("name"))) {
            assertThatThrownBy(() -> staged.attach("pipe", pipe, Progress.NONE)).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("not a plain file");
            for (String name : List.of("attachments/below/disk", "attachments/", "attachments/../disk")) {
                assertThatIllegalArgumentException().isThrownBy(() -> staged.create(name));
            }
        }
    }

    @Test
    void filesAreVerifiedOneAfterAnotherAndNoneIsKeptOpen() throws IOException {
        try (StagedSnapshot staged = store.stage(id("name"))) {
            Snapshots.fill(staged, 1);
            for (int number = 0; number < 20; number++) {
                Snapshots.write(staged.create(SnapshotFiles.attachment("disk-" + number)), "disk");
            }
            staged.publish(Snapshots.full(1));
        }
        FaultyPosix watched = FaultyPosix.host();
        try (DirectoryStore other = DirectoryStore.open(watched.posix(), path, StoreOptions.PRIVATE);
                StoredSnapshot held = other.hold(id("name"))) {
            held.pageIndex();
            int before = watched.openDescriptors().size();
            held.verifyFiles();
            assertThat(watched.openDescriptors()).hasSize(before);
        }
    }

    @Test
    void whatOpeningRemovedIsTold() throws IOException {
        Files.createDirectory(path.resolve(".staging").resolve("0".repeat(32)));
        try (DirectoryStore opened = DirectoryStore.open(posix, path, StoreOptions.PRIVATE);
                StagedSnapshot staged = opened.stage(id("name"))) {
            assertThat(opened.recovered()).isEqualTo(new Recovered(1, 0, 0));
            assertThat(opened.recovered().and(opened.gc())).isEqualTo(new Recovered(1, 0, 1));
            assertThat(staged.id()).isEqualTo(id("name"));
        }
    }

    @Test
    void whatIsDeletedWhileItIsInspectedIsGoneAndNotDamaged() throws IOException {
        Snapshots.publish(store, "name", 1);
        FaultyPosix racing = FaultyPosix.host();
        try (DirectoryStore other = DirectoryStore.open(racing.posix(), path, StoreOptions.PRIVATE)) {
            int opened = racing.calls("openat") + 2;
            racing.before(call -> {
                if (call.name().equals("openat") && racing.calls("openat") == opened) {
                    assertThatCode(() -> store.delete(id("name"))).doesNotThrowAnyException();
                }
            });
            assertThatThrownBy(() -> other.inspect(id("name"))).isInstanceOf(NoSuchFileException.class)
                    .hasMessageContaining("no snapshot name");
        }
    }

    @Test
    void aBaseThatIsRequiredStaysAndNamesItsDependents() throws IOException {
        Snapshots.publish(store, "base", 1);
        Snapshots.publishDiff(store, "diff", "base", 2);
        assertThat(Snapshots.verify(store, "diff")).isEqualTo(2);
        assertThatThrownBy(() -> store.delete(id("base"))).isInstanceOf(SnapshotRequiredException.class)
                .hasMessageContaining("diff");
        assertThatThrownBy(() -> store.deleteForcibly(id("base"))).isInstanceOf(SnapshotRequiredException.class)
                .hasMessageContaining("diff");
        assertThatThrownBy(() -> Snapshots.publish(store, "base", 3, IfExists.REPLACE_EVEN_IF_HELD))
                .isInstanceOf(SnapshotRequiredException.class);
        store.delete(id("diff"));
        store.delete(id("base"));
    }

    @Test
    void whatIsHeldStaysUsableWhenTheStoreIsClosed() throws IOException {
        Snapshots.publish(store, "name", 1);
        DirectoryStore other = DirectoryStore.open(posix, path, StoreOptions.PRIVATE);
        try (StoredSnapshot held = other.hold(id("name"))) {
            other.close();
            held.verifyFiles();
            assertThat(Snapshots.read(held.open(Snapshots.ATTACHMENT))).isEqualTo("disk 1");
            assertThatThrownBy(() -> store.delete(id("name"))).isInstanceOf(BusyException.class)
                    .hasMessageContaining("is in use");
        }
        store.delete(id("name"));
    }

    @Test
    void holdingADiffHoldsItsBase() throws IOException {
        Snapshots.publish(store, "base", 1);
        Snapshots.publishDiff(store, "diff", "base", 2);
        try (StoredSnapshot held = store.hold(id("diff"))) {
            assertThat(held.base()).isPresent();
            store.deleteForcibly(id("diff"));
            assertThatThrownBy(() -> store.delete(id("base"))).isInstanceOf(BusyException.class)
                    .hasMessageContaining("is in use");
        }
        store.delete(id("base"));
    }

    @Test
    void lineageAloneHindersNobody() throws IOException {
        SnapshotReference parent = Snapshots.publish(store, "parent", 1).reference();
        try (StagedSnapshot staged = store.stage(id("child"))) {
            Snapshots.fill(staged, 2);
            try (PageMap map = PageMap.create(staged.create(SnapshotFiles.PAGE_MAP), Snapshots.LAYOUT)) {
                map.mark(0, Snapshots.PAGES);
                map.finish();
            }
            staged.publish(SnapshotDescription.fullOnto(Snapshots.LAYOUT, parent).withParent(parent)
                    .withLabel(Snapshots.GENERATION, "2"));
        }
        store.delete(id("parent"));
        assertThat(Snapshots.verify(store, "child")).isEqualTo(2);
    }

    @Test
    void aReplacedNamesakeIsNotTakenForTheBase() throws IOException {
        SnapshotReference old = Snapshots.publish(store, "base", 1).reference();
        Snapshots.publish(store, "base", 1, IfExists.REPLACE);
        try (StagedSnapshot staged = store.stage(id("diff"))) {
            Snapshots.fill(staged, 2);
            try (PageMap map = PageMap.create(staged.create(SnapshotFiles.PAGE_MAP), Snapshots.LAYOUT)) {
                map.finish();
            }
            assertThatThrownBy(() -> staged.publish(SnapshotDescription.diff(Snapshots.LAYOUT, old)))
                    .isInstanceOf(MissingBaseException.class).hasMessageContaining(old.uuid().toString());
        }
    }

    @Test
    void aHintIsAddedAndReplaced() throws IOException {
        Snapshots.publish(store, "name", 1);
        for (String text : List.of("first", "second")) {
            store.addHint(id("name"), SnapshotFiles.WORKING_SET,
                    ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
            try (StoredSnapshot held = store.hold(id("name"))) {
                assertThat(Snapshots.read(held.hint(SnapshotFiles.WORKING_SET).orElseThrow())).isEqualTo(text);
            }
        }
        assertThatThrownBy(() -> store.addHint(id("name"), SnapshotFiles.MANIFEST, ByteBuffer.allocate(1)))
                .isInstanceOf(IllegalArgumentException.class);
        assertThat(Snapshots.verify(store, "name")).isEqualTo(1);
    }

    @Test
    void anIdenticalImageTakesThePlaceOfTheOldOneWhichItsUsersKeep() throws IOException {
        Snapshots.publish(store, "name", 1);
        try (StoredSnapshot held = store.hold(id("name"))) {
            long before = held.image().status().inode();
            try (StagedReplacement image = store.stageImage(held, held.image())) {
                if (image.descriptor().sizeBytes() == 0) {
                    FileCopy.fill(held.image(), image.descriptor(), Progress.NONE);
                }
                image.commit();
            }
            assertThat(held.image().status().inode()).isEqualTo(before);
            try (StoredSnapshot again = store.hold(id("name"))) {
                assertThat(again.image().status().inode()).isNotEqualTo(before);
            }
        }
        assertThat(Snapshots.verify(store, "name")).isEqualTo(1);
    }

    @Test
    void transferBringsTheBasesAlongUnderTheirOwnIdentity() throws IOException {
        StoredManifest base = Snapshots.publish(store, "base", 1);
        StoredManifest diff = Snapshots.publishDiff(store, "diff", "base", 2);
        try (DirectoryStore other =
                DirectoryStore.openOrCreate(posix, directory.resolve("other"), StoreOptions.PRIVATE)) {
            assertThat(store.transfer(id("diff"), other, Progress.NONE))
                    .containsExactly(base.reference(), diff.reference());
            assertThat(other.inspect(id("diff"))).isEqualTo(diff);
            assertThat(Snapshots.verify(other, "diff")).isEqualTo(2);
            assertThat(store.transfer(id("diff"), other, Progress.NONE)).as("what is there stays").isEmpty();
            Snapshots.publish(other, "lone", 7);
            Snapshots.publish(store, "lone", 8);
            assertThatThrownBy(() -> store.transfer(id("lone"), other, Progress.NONE))
                    .isInstanceOf(FileAlreadyExistsException.class);
        }
    }

    @Test
    void transferChecksEveryPageItCopiesUnlessToldOtherwise() throws IOException {
        Snapshots.publish(store, "base", 1);
        Snapshots.publishDiff(store, "diff", "base", 2);
        // Page 1 is the diff's, 2 the base's, and 3 a hole.
        for (int page : new int[] {1, 2, 3}) {
            String holder = page == 1 ? "diff" : "base";
            Path image = path.resolve(holder).resolve(SnapshotFiles.MEMORY);
            byte[] before = Files.readAllBytes(image);
            byte[] bad = before.clone();
            bad[page * Snapshots.PAGE + 3] ^= 4;
            assertThat(image.toFile().setWritable(true)).isTrue();
            Files.write(image, bad);
            try (DirectoryStore other = DirectoryStore.openOrCreate(
                    posix, directory.resolve("checked" + page), StoreOptions.PRIVATE)) {
                assertThatThrownBy(() -> store.transfer(id("diff"), other, Progress.NONE))
                        .isInstanceOf(DamagedException.class).hasMessageContaining(holder)
                        .hasMessageContaining("0x" + Integer.toHexString(page * Snapshots.PAGE));
                assertThat(other.list()).hasSize(page == 1 ? 1 : 0);
                assertThat(store.transferUnchecked(id("diff"), other, Progress.NONE))
                        .hasSize(page == 1 ? 1 : 2);
            }
            Files.write(image, before);
        }
        try (DirectoryStore other =
                DirectoryStore.openOrCreate(posix, directory.resolve("whole"), StoreOptions.PRIVATE)) {
            assertThat(store.transfer(id("diff"), other, Progress.NONE)).hasSize(2);
        }
    }

    @Test
    void aPageThatWasLostAndReadsAsAHoleIsNotTransferred() throws IOException {
        Snapshots.publish(store, "base", 1);
        Path image = path.resolve("base").resolve(SnapshotFiles.MEMORY);
        assertThat(image.toFile().setWritable(true)).isTrue();
        try (Descriptor open = Descriptor.open(posix, image, posix.constants().O_RDWR, 0)) {
            assertThat(Extents.punch(open, 2 * Snapshots.PAGE, Snapshots.PAGE)).isTrue();
        }
        try (DirectoryStore other =
                DirectoryStore.openOrCreate(posix, directory.resolve("other"), StoreOptions.PRIVATE)) {
            assertThatThrownBy(() -> store.transfer(id("base"), other, Progress.NONE))
                    .isInstanceOf(DamagedException.class).hasMessageContaining("1 of its pages");
            assertThat(other.list()).isEmpty();
        }
    }

    @Test
    void onlyTheSnapshotThatIsHeldIsGivenAnotherImage() throws IOException {
        StoredManifest full = Snapshots.publish(store, "name", 1);
        try (StoredSnapshot held = store.hold(id("name")); StagedSnapshot staged = store.stage(id("name"))) {
            Snapshots.fill(staged, 1);
            StoredManifest made = staged.publishInPlaceOf(held, full.description());
            assertThat(made).isEqualTo(full);
        }
        assertThat(Snapshots.verify(store, "name")).isEqualTo(1);
        assertThat(store.gc().removed()).as("the former one").isEqualTo(1);
        try (StoredSnapshot held = store.hold(id("name")); StagedSnapshot staged = store.stage(id("name"))) {
            Snapshots.fill(staged, 1);
            Snapshots.publish(store, "name", 2, IfExists.REPLACE_EVEN_IF_HELD);
            assertThatThrownBy(() -> staged.publishInPlaceOf(held, full.description()))
                    .isInstanceOf(NoSuchFileException.class).hasMessageContaining("deleted or replaced meanwhile");
        }
        assertThat(Snapshots.verify(store, "name")).as("the one that took its place").isEqualTo(2);
        try (StoredSnapshot held = store.hold(id("name")); StagedSnapshot staged = store.stage(id("name"))) {
            Snapshots.fill(staged, 3);
            assertThatThrownBy(() -> staged.publishInPlaceOf(held, Snapshots.full(3)))
                    .isInstanceOf(DamagedException.class).hasMessageContaining("is not the same guest as");
        }
        assertThat(Snapshots.verify(store, "name")).isEqualTo(2);
        assertThatThrownBy(() -> store.delete(full.reference())).isInstanceOf(NoSuchFileException.class)
                .hasMessageContaining("in the place of");
        store.delete(store.inspect(id("name")).reference());
        assertThat(store.list()).isEmpty();
    }

    @Test
    void aStoreInAStoreIsNeitherMadeNorTakenForASnapshot() throws IOException {
        Snapshots.publish(store, "name", 1);
        for (String inside : new String[] {".staging", "name", "new", "name/new"}) {
            assertThatThrownBy(() ->
                    DirectoryStore.openOrCreate(posix, path.resolve(inside), StoreOptions.PRIVATE).close())
                    .as(inside).isInstanceOf(IOException.class);
            assertThat(path.resolve(inside).resolve("store.json")).doesNotExist();
        }
        assertThat(path.resolve("new")).doesNotExist();
        Path elsewhere = directory.resolve("elsewhere");
        try (DirectoryStore nested = DirectoryStore.openOrCreate(posix, elsewhere, StoreOptions.PRIVATE)) {
            Snapshots.publish(nested, "precious", 1);
        }
        Files.move(elsewhere, path.resolve("nested"));
        assertThatThrownBy(() -> store.delete(id("nested"))).hasMessageContaining("is a store of its own");
        assertThatThrownBy(() -> store.deleteForcibly(id("nested")))
                .hasMessageContaining("is a store of its own");
        assertThat(path.resolve("nested/precious/snapshot.json")).exists();
    }

    @Test
    void publishedFilesArePrivateAndCannotBeWritten() throws IOException {
        Snapshots.publish(store, "name", 1);
        try (Stream<Path> files = Files.walk(path.resolve("name"))) {
            for (Path file : files.toList()) {
                assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file))).as(file.toString())
                        .isEqualTo(Files.isDirectory(file) ? "rwx------" : "r--------");
            }
        }
    }

    @Test
    void spaceIsToldAsLogicalAndAllocated() throws IOException {
        Snapshots.publish(store, "name", 1);
        SpaceUse use = store.space(id("name"));
        assertThat(use.logicalBytes()).isGreaterThan(Snapshots.LAYOUT.lengthBytes());
        assertThat(use.allocatedBytes()).as("half of the pages are holes").isLessThan(use.logicalBytes());
    }

    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.BTRFS})
    void whatASiblingSharesIsNotExclusive(Path place) throws IOException {
        try (DirectoryStore shared = DirectoryStore.openOrCreate(posix, place.resolve("store"), StoreOptions.PRIVATE)) {
            Snapshots.publish(shared, "first", 1);
            SpaceUse alone = shared.space(id("first"));
            assertThat(alone.exclusiveBytes()).hasValue(alone.allocatedBytes());
            try (StoredSnapshot first = shared.hold(id("first")); StagedSnapshot staged = shared.stage(id("second"))) {
                assertThat(staged.clone(SnapshotFiles.MEMORY, first.image()).isCloned()).isTrue();
                staged.copy(SnapshotFiles.PAGE_INDEX, first.open(SnapshotFiles.PAGE_INDEX), Progress.NONE);
                staged.publish(SnapshotDescription.full(Snapshots.LAYOUT));
            }
            long clonedBytes = (long) Snapshots.PAGES / 2 * Snapshots.PAGE;
            for (String name : List.of("first", "second")) {
                SpaceUse use = shared.space(id(name));
                assertThat(use.exclusiveBytes().orElseThrow()).as(name + ": " + use)
                        .isLessThanOrEqualTo(use.allocatedBytes() - clonedBytes);
            }
        }
    }

    @RealFileSystems(FileSystemKind.TMPFS)
    void whereTheFilesystemCannotTellWhatIsSharedNothingIsClaimed(Path place) throws IOException {
        try (DirectoryStore silent = DirectoryStore.openOrCreate(posix, place.resolve("store"), StoreOptions.PRIVATE)) {
            Snapshots.publish(silent, "name", 1);
            assertThat(silent.space(id("name")).exclusiveBytes()).isEmpty();
        }
    }

    @Test
    void aLeftoverThatSomebodyElseRemovesMeanwhileIsNoFailure() throws IOException {
        Path leftover = path.resolve(".staging").resolve("0".repeat(32));
        Path inside = leftover.resolve(SnapshotFiles.ATTACHMENTS);
        FaultyPosix racing = FaultyPosix.host();
        try (DirectoryStore other = DirectoryStore.open(racing.posix(), path, StoreOptions.PRIVATE)) {
            for (int look = 1; look <= 3; look++) {
                Files.createDirectories(inside);
                int fatal = racing.calls(LOOK) + look;
                racing.before(call -> {
                    if (call.name().equals(LOOK) && racing.calls(LOOK) == fatal) {
                        assertThat(inside.toFile().delete() && leftover.toFile().delete()).isTrue();
                    }
                });
                other.gc();
                assertThat(leftover).doesNotExist();
            }
        }
    }

    @Test
    void aStoreForAGroupGivesItsMembersReadingAndNothingElse() throws IOException {
        // Only root may give files to a group it is not in.
        int own = (Integer) Files.getAttribute(directory, "unix:gid");
        int group = System.getProperty("user.name").equals("root") ? own + 12_345 : own;
        Path place = directory.resolve("for-a-group");
        try (DirectoryStore open = DirectoryStore.openOrCreate(posix, place, StoreOptions.readableBy(group))) {
            Snapshots.publish(open, "name", 1);
            Snapshots.publish(open, "name", 2, IfExists.REPLACE);
            open.addHint(id("name"), SnapshotFiles.WORKING_SET, ByteBuffer.wrap(new byte[] {1}));
        }
        try (Stream<Path> files = Files.walk(place.resolve("name"))) {
            for (Path file : files.toList()) {
                assertThat(Files.getAttribute(file, "unix:gid")).as(file.toString()).isEqualTo(group);
                assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file))).as(file.toString())
                        .isEqualTo(Files.isDirectory(file) ? "rwxr-x---" : "r--r-----");
            }
        }
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(place))).isEqualTo("rwxr-x---");
        assertThat(Files.getAttribute(place, "unix:gid")).isEqualTo(group);
        for (int mode : List.of(0400, 01600, 0700 << 3)) {
            assertThatIllegalArgumentException().isThrownBy(() -> new StoreOptions(
                    OptionalInt.empty(), mode, 0700, Duration.ZERO, (holder, waited) -> { }));
        }
        assertThatIllegalArgumentException().isThrownBy(() -> new StoreOptions(
                OptionalInt.empty(), 0600, 0600, Duration.ZERO, (holder, waited) -> { }));
    }

    @Test
    void publishingDeletingAndRecoveryAreToldToTheFlightRecorder() throws IOException {
        Path file = directory.resolve("recording.jfr");
        try (Recording recording = new Recording()) {
            for (String event : List.of("SnapshotPublished", "SnapshotDeleted", "StoreRecovered")) {
                recording.enable("io.microsnap." + event).withThreshold(Duration.ZERO);
            }
            recording.start();
            StoredManifest first = Snapshots.publish(store, "name", 1);
            StoredManifest second = Snapshots.publish(store, "name", 2, IfExists.REPLACE);
            store.delete(id("name"));
            Path leftover = Files.createDirectory(path.resolve(".staging").resolve("0".repeat(32)));
            Files.write(leftover.resolve("memory.img"), new byte[Snapshots.PAGE]);
            Recovered recovered = store.gc();
            recording.stop();
            recording.dump(file);
            List<RecordedEvent> events = RecordingFile.readAllEvents(file);
            assertThat(events).allMatch(event -> event.getString("store").equals(path.toString()));
            assertThat(told(events, "SnapshotPublished", "uuid"))
                    .containsExactly(first.uuid().toString(), second.uuid().toString());
            assertThat(told(events, "SnapshotPublished", "replaced")).containsExactly(false, true);
            assertThat(told(events, "SnapshotDeleted", "snapshot")).containsExactly("name");
            assertThat(told(events, "StoreRecovered", "removed")).containsExactly(1);
            assertThat(told(events, "StoreRecovered", "freedBytes")).containsExactly(recovered.freedBytes());
        }
    }

    private static List<Object> told(List<RecordedEvent> events, String name, String field) {
        return events.stream().filter(event -> event.getEventType().getName().equals("io.microsnap." + name))
                .map(event -> event.getValue(field)).toList();
    }
}
