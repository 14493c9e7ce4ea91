package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.WorkingSet;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What recordings make of a working set, and what becomes of a hint that is not as it should be. */
final class WorkingSetTest {
    private static final Posix POSIX = Posix.host();
    private static final int PAGE = Snapshots.PAGE;
    private static final UUID ONE = new UUID(1, 2);

    @TempDir
    private Path directory;
    private DirectoryStore store;

    @BeforeEach
    void aSnapshot() throws IOException {
        store = DirectoryStore.openOrCreate(POSIX, directory.resolve("store"), StoreOptions.PRIVATE);
        Snapshots.publish(store, "name", 1);
    }

    @AfterEach
    void closeStore() {
        store.close();
    }

    @Test
    void pagesThatComeUpOnceLeaveAndThoseThatComeUpAgainStay(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 10_000L * PAGE);
        List<BitSet> recordings = new ArrayList<>();
        Path before = directory.resolve("before");
        for (int number = 0; number < 12; number++) {
            BitSet touched = new BitSet();
            Path after = directory.resolve("after-" + number);
            try (Descriptor file = create(after); WorkingSetMap map = WorkingSetMap.create(file, layout, ONE)) {
                if (number > 0) {
                    try (Descriptor earlier = open(before);
                            WorkingSetMap read = WorkingSetMap.open(earlier, layout, ONE)) {
                        map.continueAfter(read);
                    }
                }
                for (int run = random.nextInt(1, 30); run > 0; run--) {
                    int first = random.nextInt(10_000);
                    // Runs near the end reach it.
                    int end = Math.min(10_000, first + random.nextInt(1, 400));
                    touched.set(first, end);
                    map.touched((long) first * PAGE, (long) (end - first) * PAGE);
                }
                map.finish();
            }
            recordings.addFirst(touched);
            Files.deleteIfExists(before);
            Files.move(after, before);
            try (Descriptor file = open(before); WorkingSetMap read = WorkingSetMap.open(file, layout, ONE)) {
                BitSet expected = expected(recordings);
                assertThat(pagesOf(read)).as("after recording %d", number).isEqualTo(expected);
                assertThat(read.pages()).isEqualTo(expected.cardinality());
                assertThat(read.recordings()).isEqualTo(Math.min(8, number + 1));
            }
        }
    }

    /** In the set is what the last recording has, or two of the last eight have. */
    private static BitSet expected(List<BitSet> newestFirst) {
        BitSet expected = (BitSet) newestFirst.getFirst().clone();
        BitSet once = new BitSet();
        for (BitSet recording : newestFirst.subList(0, Math.min(8, newestFirst.size()))) {
            BitSet again = (BitSet) once.clone();
            again.and(recording);
            expected.or(again);
            once.or(recording);
        }
        return expected;
    }

    @Test
    void recordingsThatAreAddedAtOneTimeAreAllKept() throws Exception {
        try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
            List<Callable<WorkingSet>> additions = new ArrayList<>();
            for (int number = 0; number < 8; number++) {
                long offset = (long) number * PAGE;
                additions.add(() -> {
                    try (DirectoryStore own =
                            DirectoryStore.open(POSIX, directory.resolve("store"), StoreOptions.PRIVATE);
                            StoredSnapshot held = own.hold(Snapshots.id("name"))) {
                        return held.addRecording(recording -> {
                            // A page that all have, and one that each has alone.
                            recording.touched(20L * PAGE, PAGE);
                            recording.touched(offset, PAGE);
                        });
                    }
                });
            }
            for (Future<WorkingSet> added : threads.invokeAll(additions)) {
                assertThat(added.get().pages()).isBetween(2L, 9L);
            }
        }
        assertThat(store.workingSet(Snapshots.id("name")).orElseThrow().recordings()).isEqualTo(8);
        // Each page that came up once has left, but the one that came last.
        assertThat(pages("name").cardinality()).isEqualTo(2);
        try (Stream<Path> staged = Files.list(directory.resolve("store/.staging"))) {
            assertThat(staged).isEmpty();
        }
    }

    @Test
    void aSetIsDescribedAndForgotten() throws IOException {
        assertThat(store.workingSet(Snapshots.id("name"))).isEmpty();
        assertThat(store.clearWorkingSet(Snapshots.id("name"))).isFalse();
        record("name", 3, 5);
        WorkingSet set = store.workingSet(Snapshots.id("name")).orElseThrow();
        assertThat(set.pages()).isEqualTo(5);
        assertThat(set.lengthBytes()).isEqualTo(5L * PAGE);
        assertThat(store.clearWorkingSet(Snapshots.id("name"))).isTrue();
        assertThat(store.workingSet(Snapshots.id("name"))).isEmpty();
        assertThat(Snapshots.verify(store, "name")).isEqualTo(1);
    }

    @Test
    void aSetOfAReplacedSnapshotIsIgnoredAndReplacedByTheNextRecording() throws IOException {
        record("name", 3, 5);
        byte[] old = Files.readAllBytes(file("name"));
        Snapshots.publish(store, "name", 2, IfExists.REPLACE);
        assertThat(file("name")).doesNotExist();
        // As somebody who copies files by hand would have it.
        store.addHint(Snapshots.id("name"), SnapshotFiles.WORKING_SET, ByteBuffer.wrap(old));
        try (StoredSnapshot held = store.hold(Snapshots.id("name"))) {
            assertThat(held.workingSet()).isEmpty();
        }
        assertThatThrownBy(() -> store.workingSet(Snapshots.id("name"))).isInstanceOf(DamagedException.class)
                .hasMessageContaining("it belongs to publication");
        record("name", 7, 1);
        assertThat(pages("name").toString()).isEqualTo("{7}");
    }

    @Test
    void aSetIsCopiedWithItsSnapshotAndBoundToTheNewOne() throws IOException {
        record("name", 3, 5);
        try (DirectoryStore other = DirectoryStore.openOrCreate(
                POSIX, directory.resolve("other"), StoreOptions.PRIVATE)) {
            store.transfer(Snapshots.id("name"), other, Progress.NONE);
            assertThat(Files.readAllBytes(directory.resolve("other/name/working-set.map")))
                    .isEqualTo(Files.readAllBytes(file("name")));
        }
        try (StoredSnapshot held = store.hold(Snapshots.id("name"));
                StagedSnapshot staged = store.stage(Snapshots.id("child"))) {
            Snapshots.fill(staged, 2);
            staged.takeWorkingSetOf(held.reference());
            // What is recorded later belongs to the parent alone.
            record("name", 9, 1);
            staged.publish(Snapshots.full(2));
        }
        assertThat(pages("child").toString()).isEqualTo("{3, 4, 5, 6, 7}");
        assertThat(Files.readAllBytes(file("child"))).isNotEqualTo(Files.readAllBytes(file("name")));
    }

    @Test
    void aHintThatCannotBeCopiedCostsTheHintAndNotTheSnapshot() throws IOException {
        store.addHint(Snapshots.id("name"), SnapshotFiles.WORKING_SET, ByteBuffer.wrap(new byte[5000]));
        try (StoredSnapshot held = store.hold(Snapshots.id("name"));
                StagedSnapshot staged = store.stage(Snapshots.id("child"))) {
            Snapshots.fill(staged, 2);
            staged.takeWorkingSetOf(held);
            staged.publish(Snapshots.full(2));
        }
        assertThat(file("child")).doesNotExist();
        assertThat(Snapshots.verify(store, "child")).isEqualTo(2);
    }

    @Test
    void whatSharesASnapshotKeepsItOpenAfterItWasClosed() throws IOException {
        StoredSnapshot held = store.hold(Snapshots.id("name"));
        Closeable first = held.share();
        Closeable second = held.share();
        held.close();
        held.close();
        first.close();
        first.close();
        assertThat(held.image().sizeBytes()).isEqualTo(Snapshots.LAYOUT.lengthBytes());
        assertThat(store.isHeld(Snapshots.id("name"))).isTrue();
        assertThatThrownBy(held::share).isInstanceOf(IllegalStateException.class);
        second.close();
        assertThat(store.isHeld(Snapshots.id("name"))).isFalse();
    }

    @Test
    void mutatedHintsAreRefusedOrNameNothingOutsideOfTheGuest(Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, 5_000L * PAGE + PAGE);
        byte[] valid;
        Path path = directory.resolve("mutated");
        try (Descriptor file = create(path)) {
            try (WorkingSetMap map = WorkingSetMap.create(file, layout, ONE)) {
                map.touched(3L * PAGE, 700L * PAGE);
                map.touched(4_990L * PAGE, 11L * PAGE);
                map.finish();
            }
            valid = Files.readAllBytes(path);
            int rounds = Effort.choose(2_000, 10_000, 200_000);
            int refused = 0;
            for (int round = 0; round < rounds; round++) {
                byte[] bytes = mutated(valid, random);
                boolean changed = !Arrays.equals(bytes, valid);
                write(file, bytes);
                try (WorkingSetMap read = WorkingSetMap.open(file, layout, ONE)) {
                    assertThat(changed).as("round %d was read, but differs", round).isFalse();
                    long[] end = {0};
                    read.runs((offset, lengthBytes) -> {
                        assertThat(offset).isGreaterThanOrEqualTo(end[0]);
                        end[0] = offset + lengthBytes;
                    });
                    assertThat(end[0]).isEqualTo(layout.lengthBytes());
                } catch (DamagedException expected) {
                    refused++;
                }
            }
            assertThat(refused).isGreaterThan(rounds / 2);
        }
    }

    private static byte[] mutated(byte[] valid, SplittableRandom random) {
        byte[] bytes = valid.clone();
        // Most bytes of a header are zero: half of the changes hit what is not.
        int at = random.nextBoolean() ? random.nextInt(68) : random.nextInt(bytes.length);
        switch (random.nextInt(4)) {
            case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
            case 1 -> bytes[at] = (byte) random.nextInt();
            case 2 -> bytes = Arrays.copyOf(bytes, random.nextInt(2 * bytes.length));
            default -> System.arraycopy(valid, random.nextInt(valid.length - 64), bytes,
                    Math.min(at, bytes.length - 64), random.nextInt(1, 64));
        }
        return bytes;
    }

    private static void write(Descriptor file, byte[] bytes) throws IOException {
        file.truncate(0);
        file.truncate(bytes.length);
        try (Arena buffer = Arena.ofConfined()) {
            if (bytes.length > 0) {
                file.writeFully(buffer.allocateFrom(ValueLayout.JAVA_BYTE, bytes), 0);
            }
        }
    }

    private void record(String name, int firstPage, int count) throws IOException {
        try (StoredSnapshot held = store.hold(Snapshots.id(name))) {
            held.addRecording(recording -> recording.touched((long) firstPage * PAGE, (long) count * PAGE));
        }
    }

    private BitSet pages(String name) throws IOException {
        try (StoredSnapshot held = store.hold(Snapshots.id(name))) {
            return pagesOf(held.workingSet().orElseThrow());
        }
    }

    private static BitSet pagesOf(WorkingSetMap map) throws IOException {
        BitSet pages = new BitSet();
        map.runs((offset, lengthBytes) ->
                pages.set((int) (offset / PAGE), (int) Math.ceilDiv(offset + lengthBytes, (long) PAGE)));
        return pages;
    }

    private Path file(String name) {
        return directory.resolve("store").resolve(name).resolve(SnapshotFiles.WORKING_SET);
    }

    private static Descriptor create(Path path) throws IOException {
        return Descriptor.open(POSIX, path, POSIX.constants().O_RDWR | POSIX.constants().O_CREAT, 0600);
    }

    private static Descriptor open(Path path) throws IOException {
        return Descriptor.open(POSIX, path, POSIX.constants().O_RDONLY, 0);
    }
}
