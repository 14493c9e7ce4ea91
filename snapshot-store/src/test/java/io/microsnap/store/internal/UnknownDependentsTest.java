package io.microsnap.store.internal;

import static io.microsnap.store.internal.Snapshots.id;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.IfExists;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.store.SnapshotRequiredException;
import io.microsnap.store.StoreOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A base outlives every failure to find out whether it is still needed. */
class UnknownDependentsTest {
    @TempDir
    Path directory;
    private Path path;
    private DirectoryStore store;

    @BeforeEach
    void aBaseAndADiff() throws IOException {
        path = directory.resolve("store");
        store = DirectoryStore.openOrCreate(Posix.host(), path, StoreOptions.PRIVATE);
        Snapshots.publish(store, "base", 1);
        Snapshots.publishDiff(store, "diff", "base", 2);
    }

    @AfterEach
    void close() throws IOException {
        store.close();
    }

    private interface Attempt {
        void on(DirectoryStore store) throws IOException;
    }

    @ParameterizedTest
    @EnumSource(names = {"EMFILE", "EACCES", "EIO"})
    void aDependentThatCannotBeOpenedProtectsItsBase(Errno errno) throws IOException {
        for (Attempt attempt : new Attempt[] {
            on -> on.delete(id("base")),
            on -> Snapshots.publish(on, "base", 3, IfExists.REPLACE),
            on -> Snapshots.publish(on, "base", 3, IfExists.REPLACE_EVEN_IF_HELD)}) {
            int position = opensOf("diff", attempt);
            FaultyPosix failing = FaultyPosix.host().at("openat", position).andLater().fails(errno);
            try (DirectoryStore other = DirectoryStore.open(failing.posix(), path, StoreOptions.PRIVATE)) {
                assertThatThrownBy(() -> attempt.on(other)).isInstanceOf(DependentsUnknownException.class)
                        .hasMessageContaining("base").hasMessageContaining("diff").hasMessageContaining(errno.name());
            } catch (IOException uncleaned) {
                // What was staged could not be removed either.
                assertThat(failing.struck()).isTrue();
            }
            assertThat(Snapshots.verify(store, "diff")).isEqualTo(2);
        }
        store.gc();
    }

    /** Which of the calls opens the snapshot when the attempt, which a healthy dependent refuses, looks for it. */
    private int opensOf(String name, Attempt attempt) throws IOException {
        // What a failed attempt left would be removed on opening.
        store.gc();
        int[] position = {0};
        FaultyPosix counting = FaultyPosix.host();
        try (DirectoryStore other = DirectoryStore.open(counting.posix(), path, StoreOptions.PRIVATE)) {
            counting.before(call -> {
                if (call.name().equals("openat") && call.arguments().get(1).equals(name)) {
                    position[0] = counting.calls("openat");
                }
            });
            assertThatThrownBy(() -> attempt.on(other)).isInstanceOf(SnapshotRequiredException.class);
        }
        return position[0];
    }

    @Test
    void aFlippedBitInADependentsManifestProtectsItsBaseUntilItIsDeletedOrForceIsUsed() throws IOException {
        Path manifest = path.resolve("diff").resolve(SnapshotFiles.MANIFEST);
        byte[] sound = Files.readAllBytes(manifest);
        byte[] flipped = sound.clone();
        flipped[sound.length / 2] ^= 1;
        rewrite(manifest, flipped);
        assertThatThrownBy(() -> store.delete(id("base"))).isInstanceOf(DependentsUnknownException.class)
                .hasMessageContaining("diff").hasMessageContaining("snapshot.json");
        assertThatThrownBy(() -> Snapshots.publish(store, "base", 3, IfExists.REPLACE))
                .isInstanceOf(DependentsUnknownException.class);
        rewrite(manifest, sound);
        assertThat(Snapshots.verify(store, "diff")).as("nothing is lost").isEqualTo(2);

        rewrite(manifest, flipped);
        store.delete(id("diff"));
        store.delete(id("base"));
        assertThat(store.list()).isEmpty();

        Snapshots.publish(store, "base", 1);
        Snapshots.publishDiff(store, "diff", "base", 2);
        rewrite(manifest, flipped);
        store.deleteForcibly(id("base"));
        assertThat(path.resolve("base")).doesNotExist();
    }

    @Test
    void aDamagedSnapshotWithoutAPageMapNeedsNobody() throws IOException {
        Snapshots.publish(store, "other", 3);
        rewrite(path.resolve("other").resolve(SnapshotFiles.MANIFEST), new byte[0]);
        Files.writeString(path.resolve("file"), "no snapshot at all");
        store.delete(id("diff"));
        store.delete(id("base"));
        assertThat(path.resolve("base")).doesNotExist();
    }

    private static void rewrite(Path file, byte[] content) throws IOException {
        Files.deleteIfExists(file);
        Files.write(file, content);
    }
}
