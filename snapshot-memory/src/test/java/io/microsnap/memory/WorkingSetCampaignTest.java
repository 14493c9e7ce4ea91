package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;

/** Random guests, their chains and clones, and random touches: what is recorded is what was touched. */
final class WorkingSetCampaignTest {
    private static final Posix POSIX = Posix.host();
    private static final long LARGEST = 24L << 20;

    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.EXT4, FileSystemKind.BTRFS})
    void recordedSetsAreThePagesTouchedAndPrefetchedOnesNeedNoFault(Path on, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        int guests = Effort.choose(1, 2, 60);
        for (int guest = 0; guest < guests; guest++) {
            long own = random.nextLong();
            try {
                new Life(new SplittableRandom(own), Files.createDirectory(on.resolve("guest-" + guest))).live();
            } catch (IOException | RuntimeException | AssertionError failure) {
                throw new AssertionError("guest " + guest + " (its own seed " + own + "): " + failure.getMessage(),
                        failure);
            }
        }
    }

    private static final class Life {
        private final SplittableRandom random;
        private final Path directory;
        private final Map<SnapshotId, byte[]> generations = new LinkedHashMap<>();
        private final Map<SnapshotId, BitSet> sets = new LinkedHashMap<>();
        private DirectoryStore store;

        Life(SplittableRandom random, Path directory) {
            this.random = random;
            this.directory = directory;
        }

        void live() throws IOException {
            GuestLayout layout = SimulatedGuest.randomLayout(random, LARGEST);
            try (DirectoryStore opened =
                    DirectoryStore.openOrCreate(POSIX, directory.resolve("store"), StoreOptions.PRIVATE);
                    SimulatedGuest guest = SimulatedGuest.booted(layout, 0)) {
                store = opened;
                for (int generation = 0; generation < 5; generation++) {
                    guest.run(random);
                    SnapshotId id = new SnapshotId("g" + generation);
                    Capture.of(store, id, guest.reader()).tracker(guest.tracker()).kind(kind(generation)).take(guest);
                    generations.put(id, guest.content());
                    BitSet inherited = generation == 0 ? new BitSet()
                            : (BitSet) sets.get(new SnapshotId("g" + (generation - 1))).clone();
                    assertThat(setOf(id)).as("the set that %s inherits", id).isEqualTo(inherited);
                    sets.put(id, inherited);
                    if (random.nextInt(3) > 0) {
                        recordAndRestore(id);
                    }
                }
                for (SnapshotId id : generations.keySet()) {
                    recordAndRestore(id);
                }
            }
        }

        private CaptureKind kind(int generation) {
            return generation == 0 || random.nextInt(4) == 0 ? CaptureKind.FULL
                    : random.nextBoolean() ? CaptureKind.DIFF : CaptureKind.AUTOMATIC;
        }

        private void recordAndRestore(SnapshotId id) throws IOException {
            evict(id);
            BitSet touched = record(id);
            // A page is in the set after the recording that touched it; what was there before needs a second one.
            BitSet now = setOf(id);
            BitSet missing = (BitSet) touched.clone();
            missing.andNot(now);
            assertThat(missing).as("touched in %s, and not in its set", id).isEqualTo(new BitSet());
            BitSet strange = (BitSet) now.clone();
            strange.andNot(touched);
            strange.andNot(sets.get(id));
            assertThat(strange).as("in the set of %s, and never touched", id).isEqualTo(new BitSet());
            sets.put(id, now);
            evict(id);
            boolean everything = random.nextInt(3) == 0;
            try (RestoredSnapshot restored = restore(id, everything).restore(RestoreEngine.LAZY)) {
                Prefetched prefetched = restored.prefetched();
                assertThat(prefetched.because()).isEqualTo(Optional.empty());
                assertThat(prefetched.residentBytes() + prefetched.readBytes()).isEqualTo(prefetched.wantedBytes());
                BitSet mapped = new BitSet();
                int pageBytes = restored.memory().layout().pageBytes();
                restored.mapping().mapped((offset, lengthBytes) -> mapped.set((int) (offset / pageBytes),
                        (int) Math.ceilDiv(offset + lengthBytes, (long) pageBytes)));
                BitSet faulting = (BitSet) now.clone();
                faulting.andNot(mapped);
                if (!everything) {
                    // Of everything, holes are left out: their pages need no disk.
                    assertThat(faulting).as("prefetched pages that are not mapped").isEqualTo(new BitSet());
                }
                assertSame(restored, id);
            }
        }

        private Restore restore(SnapshotId id, boolean everything) {
            Prefetch what = everything ? Prefetch.EVERYTHING : Prefetch.WORKING_SET;
            Restore restore = Restore.of(store, id).threads(random.nextInt(1, 4));
            return random.nextBoolean() ? restore.prefetchBeside(what) : restore.prefetch(what);
        }

        /** Touches pages of a copy, and returns which. */
        private BitSet record(SnapshotId id) throws IOException {
            BitSet touched = new BitSet();
            try (RestoredSnapshot restored = Restore.of(store, id).recordable().threads(random.nextInt(1, 3))
                    .restore(RestoreEngine.LAZY); WorkingSetRecording recording = restored.recordWorkingSet()) {
                GuestLayout layout = restored.memory().layout();
                int touches = random.nextInt(1, 40);
                for (int touch = 0; touch < touches; touch++) {
                    int first = random.nextInt((int) layout.pageCount());
                    int end = (int) Math.min(layout.pageCount(), first + (1L << random.nextInt(6)));
                    for (int page = first; page < end; page++) {
                        touch(restored, (long) page * layout.pageBytes());
                        touched.set(page);
                    }
                }
                recording.save();
            }
            return touched;
        }

        private void touch(RestoredSnapshot restored, long imageOffset) {
            GuestLayout layout = restored.memory().layout();
            int region = layout.regionAt(imageOffset);
            MemorySegment memory = restored.memory().mapping(region);
            long at = imageOffset - layout.imageOffset(region);
            if (random.nextInt(4) == 0) {
                memory.set(ValueLayout.JAVA_BYTE, at, (byte) random.nextInt());
            } else {
                assertThat(memory.get(ValueLayout.JAVA_BYTE, at)).isBetween(Byte.MIN_VALUE, Byte.MAX_VALUE);
            }
        }

        private void assertSame(RestoredSnapshot restored, SnapshotId id) {
            GuestLayout layout = restored.memory().layout();
            byte[] expected = generations.get(id);
            for (int region = 0; region < layout.regions().size(); region++) {
                int from = (int) layout.imageOffset(region);
                MemorySegment memory = restored.memory().mapping(region);
                byte[] part = Arrays.copyOfRange(expected, from, from + (int) memory.byteSize());
                assertThat(memory.mismatch(MemorySegment.ofArray(part))).as("%s, region %d", id, region).isEqualTo(-1);
            }
        }

        private BitSet setOf(SnapshotId id) throws IOException {
            BitSet pages = new BitSet();
            try (StoredSnapshot held = store.hold(id)) {
                int pageBytes = held.layout().pageBytes();
                if (held.workingSet().isPresent()) {
                    held.workingSet().get().runs((offset, lengthBytes) -> pages.set((int) (offset / pageBytes),
                            (int) Math.ceilDiv(offset + lengthBytes, (long) pageBytes)));
                }
            }
            return pages;
        }

        /** Half of the time the page cache is cold. */
        private void evict(SnapshotId id) throws IOException {
            if (random.nextBoolean()) {
                return;
            }
            try (StoredSnapshot held = store.hold(id)) {
                for (Optional<StoredSnapshot> at = Optional.of(held); at.isPresent(); at = at.get().base()) {
                    ColdCache.evict(at.get().image());
                }
            }
        }
    }
}
