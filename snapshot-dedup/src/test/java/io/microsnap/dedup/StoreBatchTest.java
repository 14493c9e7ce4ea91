package io.microsnap.dedup;

import static io.microsnap.dedup.Bakery.bake;
import static io.microsnap.dedup.Bakery.changed;
import static io.microsnap.dedup.Bakery.id;
import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.BusyException;
import io.microsnap.core.CancelledException;
import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.dedup.DedupOutcome.Deduplicated;
import io.microsnap.dedup.DedupOutcome.LeftAlone;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

class StoreBatchTest {
    private static final int LENGTH = 4 << 20;
    private static final SiblingPolicy ALIKE = SiblingPolicy.MOST_ALIKE;
    private static final DedupOptions USUAL = DedupOptions.DEFAULTS;

    private final byte[] guest = TwoImages.bytes(LENGTH, 1);

    @RealFileSystems({XFS, BTRFS})
    void everySnapshotSharesWithAnOlderOneAndTheOldestKeepsItsImage(Path directory, Seed seed) throws IOException {
        try (DirectoryStore store = Bakery.store(directory)) {
            Map<String, byte[]> guests = family(store, seed.random(), 5);
            bake(store, "stranger", TwoImages.bytes(LENGTH / 2, 9));
            List<Estimate> estimates = new Deduplicator(store).estimateAll(ALIKE, USUAL);
            assertThat(estimates).hasSize(4).allSatisfy(estimate -> assertThat(estimate.equalBytes()).isEqualTo(
                    equalBytes(guests, estimate.target(), estimate.sibling().orElseThrow().reference())));
            long free = TwoImages.freeBytes(directory);
            List<SnapshotId> heard = new ArrayList<>();
            long[] last = {0};
            BatchReport report = new Deduplicator(store).deduplicateAll(ALIKE,
                    DedupOptions.DEFAULTS.with(Accounting.FREE_SPACE).with((done, total) -> {
                        assertThat(done).isBetween(last[0], total);
                        assertThat(total).isEqualTo(4L * LENGTH);
                        last[0] = done;
                    }), entry -> heard.add(entry.target().id()));
            assertThat(report.entries()).extracting(entry -> entry.target().id())
                    .containsExactly(id("guest-3"), id("guest-2"), id("guest-1"), id("guest-0")).isEqualTo(heard);
            assertThat(report.entries()).allSatisfy(
                    entry -> assertThat(entry.outcome()).isInstanceOf(Deduplicated.class));
            assertThat(report.sharedBytes()).isLessThanOrEqualTo(
                    estimates.stream().mapToLong(Estimate::equalBytes).sum());
            assertThat(last[0]).isEqualTo(4L * LENGTH);
            for (BatchReport.Entry entry : report.entries()) {
                DedupReport each = ((Deduplicated) entry.outcome()).report();
                assertThat(each.freeBytesBefore()).as("measured once, for all").isEmpty();
                assertThat(each.after().orElseThrow().exclusiveBytes())
                        .isLessThanOrEqualTo(each.pages().different() * each.pageBytes());
            }
            assertThat(TwoImages.freeBytes(directory) - free)
                    .isGreaterThanOrEqualTo(report.sharedBytes() * 9 / 10);
            assertThat(report.freeBytesAfter().orElseThrow()).isGreaterThan(report.freeBytesBefore().orElseThrow());
            requireUnchanged(store, guests);
            assertThat(new Deduplicator(store).deduplicateAll(ALIKE, USUAL).entries()).allSatisfy(entry ->
                    assertThat(entry.outcome()).isInstanceOfSatisfying(LeftAlone.class,
                            alone -> assertThat(alone.reason()).isEqualTo(Reason.ALREADY_SHARED)));
        }
    }

    @RealFileSystems(XFS)
    void aCancelledRunIsResumedWithoutDoingAnythingTwice(Path directory, Seed seed) throws IOException {
        try (DirectoryStore store = Bakery.store(directory)) {
            Map<String, byte[]> guests = family(store, seed.random(), 5);
            BatchReport cancelled = new Deduplicator(store).deduplicateAll(ALIKE, DedupOptions.DEFAULTS.with(
                    (done, total) -> {
                        if (done > total / 2) {
                            throw new CancelledException("enough");
                        }
                    }));
            assertThat(cancelled.cancelled()).isTrue();
            assertThat(cancelled.entries()).hasSizeBetween(1, 3);
            requireUnchanged(store, guests);
            BatchReport resumed = new Deduplicator(store).deduplicateAll(ALIKE, USUAL);
            assertThat(resumed.cancelled()).isFalse();
            for (int at = 0; at < 4; at++) {
                DedupOutcome outcome = resumed.entries().get(at).outcome();
                if (at < cancelled.entries().size()) {
                    assertThat(outcome).isInstanceOf(LeftAlone.class);
                }
            }
            assertThat(resumed.entries()).last().satisfies(
                    entry -> assertThat(entry.outcome()).isInstanceOf(Deduplicated.class));
            requireUnchanged(store, guests);
        }
    }

    @RealFileSystems(XFS)
    void whatSomebodyElseIsAtIsTriedOnceMoreInTheEnd(Path directory) throws IOException {
        for (boolean lastingly : new boolean[] {false, true}) {
            Path place = Files.createDirectory(directory.resolve("lastingly-" + lastingly));
            byte[] second = guest.clone();
            System.arraycopy(TwoImages.bytes(LENGTH / 4, 2), 0, second, 0, LENGTH / 4);
            byte[] third = guest.clone();
            third[LENGTH - 1]++;
            try (DirectoryStore store = Bakery.store(place)) {
                bake(store, "first", guest);
                bake(store, "second", second);
                bake(store, "third", third);
                BatchReport report;
                try (Descriptor theirs = TwoImages.open(
                        place.resolve("store/second").resolve(SnapshotFiles.MEMORY))) {
                    assertThat(theirs.tryLock(true)).isTrue();
                    Duration patience = lastingly ? Duration.ofMillis(20) : Duration.ofMinutes(1);
                    report = new Deduplicator(store).deduplicateAll(ALIKE,
                            DedupOptions.DEFAULTS.withPatience(patience), entry -> {
                                if (!lastingly) {
                                    close(theirs);
                                }
                            });
                }
                assertThat(report.entries()).extracting(entry -> entry.target().id())
                        .containsExactly(id("third"), id("second"));
                assertThat(report.entries().getLast().outcome()).satisfies(outcome -> {
                    if (lastingly) {
                        assertThat(((LeftAlone) outcome).reason()).isEqualTo(Reason.BUSY);
                    } else {
                        assertThat(outcome).isInstanceOf(Deduplicated.class);
                    }
                });
            }
        }
    }

    private static void close(Descriptor descriptor) {
        try {
            descriptor.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @RealFileSystems(EXT4)
    void withoutClonesItSaysSoOnceAndStops(Path directory, Seed seed) throws IOException {
        try (DirectoryStore store = Bakery.store(directory)) {
            Map<String, byte[]> guests = family(store, seed.random(), 5);
            assertThat(new Deduplicator(store).deduplicateAll(ALIKE, USUAL).entries()).singleElement().satisfies(one ->
                    assertThat(one.outcome()).isInstanceOfSatisfying(LeftAlone.class,
                            alone -> assertThat(alone.reason()).isEqualTo(Reason.UNSUPPORTED)));
            requireUnchanged(store, guests);
        }
    }

    @RealFileSystems(XFS)
    void oneDamagedSnapshotDoesNotKeepTheOthersFromSharing(Path directory, Seed seed) throws IOException {
        try (DirectoryStore store = Bakery.store(directory)) {
            family(store, seed.random(), 4);
            FileDeduplicatorTest.write(directory.resolve("store/guest-2").resolve(SnapshotFiles.PAGE_INDEX), 8192,
                    new byte[] {1, 2, 3});
            List<Estimate> estimates = new Deduplicator(store).estimateAll(ALIKE, USUAL);
            assertThat(estimates).extracting(estimate -> estimate.target().id().toString())
                    .containsExactly("guest-2", "guest-1", "guest-0");
            assertThat(estimates.getFirst().expected()).isInstanceOfSatisfying(DedupOutcome.Failed.class,
                    failed -> assertThat(failed.cause()).isInstanceOf(DamagedException.class));
            List<BatchReport.Entry> entries = new Deduplicator(store).deduplicateAll(ALIKE, USUAL).entries();
            assertThat(entries.getFirst().outcome()).isInstanceOf(DedupOutcome.Failed.class);
            assertThat(entries.subList(1, 3)).allSatisfy(
                    entry -> assertThat(entry.outcome()).isInstanceOf(Deduplicated.class));
        }
    }

    /** Four processes deduplicate twenty snapshots, while others hold them, read them and delete some. */
    @RealFileSystems({XFS, BTRFS})
    void severalProcessesShareTheWorkWhileOthersRestoreAndDelete(Path directory, ChildProcesses children, Seed seed)
            throws IOException {
        SplittableRandom random = seed.random();
        try (DirectoryStore store = Bakery.store(directory)) {
            Map<String, byte[]> guests = family(store, random, 20);
            List<ChildProcess> workers = new ArrayList<>();
            for (int worker = 0; worker < 4; worker++) {
                workers.add(children.java(Worker.class, directory.toString()));
            }
            workers.forEach(worker -> worker.awaitLine("ready"));
            workers.forEach(worker -> worker.send("go"));
            List<String> names = new ArrayList<>(guests.keySet());
            for (int round = 0; round < 200; round++) {
                String name = names.get(random.nextInt(names.size()));
                if (round % 20 == 19) {
                    delete(store, guests, names, name);
                } else {
                    assertThat(Bakery.image(store, name)).as(name + ", " + seed).isEqualTo(guests.get(name));
                }
            }
            long deduplicated = 0;
            for (ChildProcess worker : workers) {
                ChildProcess.Exit exit = worker.awaitExit();
                assertThat(exit.status()).as(exit.errors()).isZero();
                deduplicated += exit.output().lines().filter(line -> line.endsWith(" deduplicated")).count();
            }
            assertThat(deduplicated).as("what the four did").isPositive();
            for (SnapshotEntry entry : store.list()) {
                assertThat(entry).isInstanceOf(SnapshotEntry.Whole.class);
            }
            requireUnchanged(store, guests);
            // What they left undone, because somebody had deleted a sibling or had it in hand, one alone completes.
            new Deduplicator(store).deduplicateAll(ALIKE, USUAL);
            assertThat(new Deduplicator(store).deduplicateAll(ALIKE, USUAL).entries()).allSatisfy(entry ->
                    assertThat(entry.outcome()).isInstanceOfSatisfying(LeftAlone.class,
                            alone -> assertThat(alone.reason()).isEqualTo(Reason.ALREADY_SHARED)));
            requireUnchanged(store, guests);
            assertThat(directory.resolve("store/.staging").toFile().list()).isEmpty();
        }
    }

    private static void delete(DirectoryStore store, Map<String, byte[]> guests, List<String> names, String name)
            throws IOException {
        try {
            store.delete(id(name));
            guests.remove(name);
            names.remove(name);
        } catch (BusyException inUse) {
            // Being deduplicated at this moment: it stays.
            assertThat(inUse).hasMessageContaining(name + " is in use");
            assertThat(names).contains(name);
        }
    }

    private static long equalBytes(Map<String, byte[]> guests, SnapshotReference one, SnapshotReference other) {
        byte[] first = guests.get(one.id().toString());
        byte[] second = guests.get(other.id().toString());
        long equal = 0;
        for (int page = 0; page < LENGTH; page += Bakery.PAGE) {
            equal += Arrays.equals(first, page, page + Bakery.PAGE, second, page, page + Bakery.PAGE)
                    ? Bakery.PAGE : 0;
        }
        return equal;
    }

    /** The oldest has the highest number. */
    private Map<String, byte[]> family(DirectoryStore store, SplittableRandom random, int size) throws IOException {
        Map<String, byte[]> guests = new LinkedHashMap<>();
        for (int at = size - 1; at >= 0; at--) {
            byte[] member = guests.isEmpty() ? guest : changed(guest, 5 + random.nextInt(20), random);
            guests.put("guest-" + at, member);
            bake(store, "guest-" + at, member);
        }
        return guests;
    }

    private static void requireUnchanged(DirectoryStore store, Map<String, byte[]> guests) throws IOException {
        for (Map.Entry<String, byte[]> member : guests.entrySet()) {
            assertThat(Bakery.image(store, member.getKey())).as(member.getKey()).isEqualTo(member.getValue());
            try (StoredSnapshot held = store.hold(id(member.getKey()))) {
                held.verifyFiles();
            }
        }
    }

    /** One of several that work on one store. */
    static final class Worker {
        private Worker() {
        }

        public static void main(String[] arguments) throws IOException {
            try (DirectoryStore store = Bakery.store(Path.of(arguments[0]))) {
                System.out.println("ready");
                System.in.read();
                BatchReport report = new Deduplicator(store).deduplicateAll(ALIKE, USUAL);
                for (BatchReport.Entry entry : report.entries()) {
                    if (entry.outcome() instanceof DedupOutcome.Failed(Exception cause)
                            && !(cause instanceof NoSuchFileException)) {
                        throw new IOException(entry.target() + " failed", cause);
                    }
                    if (entry.outcome() instanceof Deduplicated) {
                        System.out.println(entry.target() + " deduplicated");
                    }
                }
            }
        }
    }
}
