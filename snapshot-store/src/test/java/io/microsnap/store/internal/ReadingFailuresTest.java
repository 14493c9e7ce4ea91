package io.microsnap.store.internal;

import static io.microsnap.store.internal.Snapshots.id;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.DamagedException;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.store.MissingBaseException;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.StoreOptions;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What the environment does to a reader says nothing about a snapshot: nothing whole is ever called damaged. */
class ReadingFailuresTest {
    private static final List<String> CALLS = List.of("openat", "fstat", "fstatat", "pread", "readdir", "flock");

    @TempDir
    Path directory;

    private interface Read {
        void from(DirectoryStore store) throws IOException;
    }

    @ParameterizedTest
    @EnumSource(names = {"EMFILE", "EACCES", "EIO"})
    void noFailureOfACallIsTakenForDamage(Errno errno) throws IOException {
        Path path = directory.resolve("store");
        try (DirectoryStore store = DirectoryStore.openOrCreate(Posix.host(), path, StoreOptions.PRIVATE)) {
            Snapshots.publish(store, "base", 1);
            Snapshots.publishDiff(store, "diff", "base", 2);
        }
        List<Read> reads = List.of(
                store -> assertThat(store.list()).noneMatch(SnapshotEntry.Damaged.class::isInstance),
                store -> Snapshots.verify(store, "base"), store -> Snapshots.verify(store, "diff"),
                store -> store.inspect(id("diff")), store -> store.space(id("diff")));
        for (Read read : reads) {
            FaultyPosix counting = FaultyPosix.host();
            attempt(counting, path, read);
            for (String call : CALLS) {
                for (int position = 1; position <= counting.calls(call); position++) {
                    attempt(FaultyPosix.host().at(call, position).fails(errno), path, read);
                    attempt(FaultyPosix.host().at(call, position).andLater().fails(errno), path, read);
                }
            }
        }
    }

    private static void attempt(FaultyPosix faulty, Path path, Read read) {
        try (DirectoryStore store = DirectoryStore.open(faulty.posix(), path, StoreOptions.PRIVATE)) {
            read.from(store);
        } catch (DamagedException | MissingBaseException wrong) {
            throw new AssertionError("nothing is damaged", wrong);
        } catch (IOException right) {
            assertThat(faulty.struck()).as(right.toString()).isTrue();
        }
    }

    @Test
    void whatCannotBeReadIsListedWithTheReasonAndSoIsWhatNeedsIt() throws IOException {
        Path path = directory.resolve("store");
        try (DirectoryStore store = DirectoryStore.openOrCreate(Posix.host(), path, StoreOptions.PRIVATE)) {
            Snapshots.publish(store, "base", 1);
            Snapshots.publishDiff(store, "diff", "base", 2);
            Snapshots.publish(store, "whole", 3);
        }
        try (DirectoryStore store = DirectoryStore.open(denying("base"), path, StoreOptions.PRIVATE)) {
            List<SnapshotEntry> entries = store.list();
            assertThat(entries).extracting(SnapshotEntry::name).containsExactly("base", "diff", "whole");
            assertThat(entries.get(2)).isInstanceOf(SnapshotEntry.Whole.class);
            for (SnapshotEntry entry : entries.subList(0, 2)) {
                assertThat(entry).isInstanceOfSatisfying(SnapshotEntry.Unreadable.class,
                        unreadable -> assertThat(unreadable.reason()).contains("base", "EACCES"));
            }
        }
    }

    /** Real calls, but for opening one name: root may open whatever it likes. */
    private static Posix denying(String name) {
        Posix host = Posix.host();
        return (Posix) Proxy.newProxyInstance(Posix.class.getClassLoader(), new Class<?>[] {Posix.class},
                (proxy, method, arguments) -> method.getName().equals("openat") && arguments[1].equals(name)
                        ? -Errno.EACCES.number(host.constants()) : method.invoke(host, arguments));
    }
}
