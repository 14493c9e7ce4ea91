package io.microsnap.store.internal;

import static io.microsnap.store.internal.Snapshots.id;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.BusyException;
import io.microsnap.core.CancelledException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.StoreOptions;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Somebody has the store's lock and does not give it back: readers do not notice, writers say so and give up. */
@Timeout(value = 2, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class LockWaitTest {
    private static final Duration LONG = Duration.ofHours(1);

    private final Posix posix = Posix.host();
    @TempDir
    Path directory;
    private Path path;
    private Descriptor lock;

    @BeforeEach
    void aLockedStore() throws IOException {
        path = directory.resolve("store");
        try (DirectoryStore store = DirectoryStore.openOrCreate(posix, path, StoreOptions.PRIVATE)) {
            Snapshots.publish(store, "name", 1);
        }
        Files.createDirectory(path.resolve(".staging").resolve("0".repeat(32)));
        lock = lock(path);
    }

    @AfterEach
    void unlock() throws IOException {
        lock.close();
    }

    private Descriptor lock(Path store) throws IOException {
        Descriptor file = Descriptor.open(posix, store.resolve(".lock"), posix.constants().O_RDWR, 0);
        assertThat(file.tryLock(true)).isTrue();
        return file;
    }

    private DirectoryStore open(StoreOptions options) throws IOException {
        return DirectoryStore.open(posix, path, options);
    }

    @Test
    void readersWaitForNobodyAndLeaveRecoveryToOthers() throws IOException {
        try (DirectoryStore store = open(StoreOptions.PRIVATE.waiting(LONG, (holder, waited) -> {
            throw new AssertionError("a reader waits for " + holder);
        }))) {
            assertThat(store.recovered().removed()).isZero();
            assertThat(store.list()).hasSize(1);
            assertThat(Snapshots.verify(store, "name")).isEqualTo(1);
            assertThat(store.space(id("name")).logicalBytes()).isPositive();
            assertThat(store.isHeld(id("name"))).isFalse();
            try (StagedSnapshot staged = store.stage(id("other"))) {
                Snapshots.fill(staged, 2);
            }
        }
        lock.close();
        try (DirectoryStore store = open(StoreOptions.PRIVATE)) {
            assertThat(store.recovered().removed()).isEqualTo(1);
        }
    }

    private interface Write {
        void on(DirectoryStore store) throws IOException;
    }

    @Test
    void everyWriterGivesUpInTimeAndNamesTheHolder() throws IOException {
        List<Write> writes = List.of(store -> store.delete(id("name")), store -> Snapshots.publish(store, "new", 2),
                DirectoryStore::gc);
        for (Write write : writes) {
            try (DirectoryStore store = open(StoreOptions.PRIVATE.waiting(Duration.ofMillis(1)))) {
                assertThatThrownBy(() -> write.on(store)).isInstanceOf(BusyException.class)
                        .hasMessageContaining(path.toString())
                        .hasMessageContaining("process " + ProcessHandle.current().pid() + " (");
            }
        }
        lock.close();
        try (DirectoryStore store = open(StoreOptions.PRIVATE)) {
            assertThat(store.list()).hasSize(1);
            assertThat(Snapshots.verify(store, "name")).as("nothing was changed").isEqualTo(1);
        }
    }

    @RealFileSystems
    void theHolderIsFoundOnEveryFilesystem(Path place) throws IOException {
        Path here = place.resolve("store");
        StoreOptions none = StoreOptions.PRIVATE.waiting(Duration.ZERO, (holder, waited) -> { });
        try (DirectoryStore store = DirectoryStore.openOrCreate(posix, here, none)) {
            Snapshots.publish(store, "name", 1);
            try (Descriptor _ = lock(here)) {
                assertThatThrownBy(() -> store.delete(id("name"))).isInstanceOf(BusyException.class)
                        .hasMessageContaining("process " + ProcessHandle.current().pid() + " (");
            }
            store.delete(id("name"));
        }
    }

    @Test
    void whoWaitsIsToldForWhomAndGoesOnWhenTheLockIsFree() throws IOException {
        List<String> told = new ArrayList<>();
        StoreOptions wait = StoreOptions.PRIVATE.waiting(LONG, (holder, waited) -> {
            told.add(holder);
            assertThat(waited).isPositive();
            lock.close();
        });
        try (DirectoryStore store = open(wait)) {
            store.delete(id("name"));
            assertThat(store.list()).isEmpty();
        }
        assertThat(told).hasSize(1).allMatch(holder -> holder.startsWith("process "));
    }

    @Test
    void aListenerThatThrowsEndsTheWaiting() throws IOException {
        StoreOptions wait = StoreOptions.PRIVATE.waiting(LONG, (holder, waited) -> {
            throw new CancelledException("no longer for " + holder);
        });
        try (DirectoryStore store = open(wait)) {
            assertThatThrownBy(() -> store.delete(id("name"))).isInstanceOf(CancelledException.class);
            assertThat(store.list()).hasSize(1);
        }
    }

    @Test
    void anInterruptEndsTheWaitingAndStaysSet() throws IOException {
        StoreOptions wait = StoreOptions.PRIVATE.waiting(LONG, (holder, waited) -> Thread.currentThread().interrupt());
        try (DirectoryStore store = open(wait)) {
            assertThatThrownBy(() -> store.delete(id("name"))).isInstanceOf(InterruptedIOException.class);
            assertThat(Thread.interrupted()).isTrue();
            assertThatCode(() -> store.inspect(id("name"))).doesNotThrowAnyException();
        }
    }

    @Test
    void nobodyWaitsForLessThanNothing() {
        assertThatIllegalArgumentException().isThrownBy(() ->
                StoreOptions.PRIVATE.waiting(Duration.ofNanos(-1), (holder, waited) -> { }));
    }
}
