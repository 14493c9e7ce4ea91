package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.Recovered;
import io.microsnap.store.StoreOptions;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Unfinished images: they outlive who makes them, are nobody's snapshot, and become one by a rename. */
class PartialImageTest {
    private static final String NAME = "0123456789abcdef".repeat(4);

    @TempDir
    private Path directory;
    private DirectoryStore store;

    @BeforeEach
    void open() throws IOException {
        store = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("s"), StoreOptions.PRIVATE);
    }

    @Test
    void whatWasWrittenIsThereForTheNextAttempt() throws IOException {
        try (PartialImage first = store.partialImage(NAME)) {
            Snapshots.write(first.descriptor(), "half");
        }
        try (DirectoryStore later = DirectoryStore.open(Posix.host(), directory.resolve("s"), StoreOptions.PRIVATE);
                PartialImage second = later.partialImage(NAME)) {
            assertThat(Snapshots.read(second.descriptor())).isEqualTo("half");
            assertThat(later.list()).isEmpty();
        }
    }

    @Test
    void anImageHasOneOwnerAtATime() throws IOException {
        try (PartialImage _ = store.partialImage(NAME)) {
            assertThatThrownBy(() -> store.partialImage(NAME)).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("another process").hasMessageContaining("retry");
            assertThat(store.gc()).isEqualTo(new Recovered(0, 0, 1));
        }
        store.partialImage(NAME).close();
    }

    @Test
    void anAdoptedImageBecomesTheSnapshotsAndIsNoLongerPartial() throws IOException {
        StoredManifest made = Snapshots.publish(store, "original", 3);
        try (PartialImage partial = store.partialImage(NAME);
                StoredSnapshot original = store.hold(Snapshots.id("original"));
                StagedSnapshot staged = store.stage(Snapshots.id("copy"))) {
            for (SnapshotFile file : made.files()) {
                if (!file.name().equals(SnapshotFiles.MEMORY)) {
                    staged.copy(file.name(), original.open(file.name()), Progress.NONE);
                }
            }
            copy(original.image(), partial.descriptor());
            staged.adopt(partial);
            staged.publishAsMadeElsewhere(made.withId(Snapshots.id("copy")));
        }
        assertThat(Snapshots.verify(store, "copy")).isEqualTo(3);
        assertThat(store.inspect(Snapshots.id("copy")).uuid()).isEqualTo(made.uuid());
        assertThat(directory.resolve("s/.partial")).isEmptyDirectory();
    }

    @Test
    void aSnapshotThatIsNotTheOneMadeElsewhereIsNotPublished() throws IOException {
        StoredManifest made = Snapshots.publish(store, "original", 3);
        try (StagedSnapshot staged = store.stage(Snapshots.id("copy"))) {
            Snapshots.fill(staged, 4);
            assertThatThrownBy(() -> staged.publishAsMadeElsewhere(made.withId(Snapshots.id("copy"))))
                    .isInstanceOf(DamagedException.class).hasMessageContaining("did not arrive complete");
        }
        assertThat(store.list()).hasSize(1);
    }

    @Test
    void garbageCollectionRemovesWhatNobodyIsAtAndOpeningDoesNot() throws IOException {
        try (PartialImage image = store.partialImage(NAME)) {
            Snapshots.write(image.descriptor(), "half");
        }
        store.close();
        store = DirectoryStore.open(Posix.host(), directory.resolve("s"), StoreOptions.PRIVATE);
        assertThat(directory.resolve("s/.partial")).isNotEmptyDirectory();
        assertThat(store.gc().removed()).isEqualTo(1);
        assertThat(directory.resolve("s/.partial")).isEmptyDirectory();
    }

    @Test
    void namesAndLinksThatLeadElsewhereAreRefused() throws IOException {
        for (String name : new String[] {"", "../x", "0".repeat(63), "A".repeat(64), "0".repeat(63) + "/"}) {
            assertThatThrownBy(() -> store.partialImage(name)).isInstanceOf(IllegalArgumentException.class);
        }
        store.partialImage(NAME).close();
        Path outside = Files.writeString(directory.resolve("outside"), "kept");
        Path image = directory.resolve("s/.partial/" + NAME + ".img");
        Files.delete(image);
        Files.createSymbolicLink(image, outside);
        assertThatThrownBy(() -> store.partialImage(NAME)).isInstanceOf(IOException.class);
        store.gc();
        assertThat(outside).hasContent("kept");
    }

    private static void copy(Descriptor from, Descriptor to)
            throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            var bytes = arena.allocate(from.sizeBytes());
            from.readFully(bytes, 0);
            to.writeFully(bytes, 0);
        }
    }
}
