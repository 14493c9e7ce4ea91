package io.microsnap.machine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestMemory;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Progress;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.KvmGuest;
import io.microsnap.kvm.KvmTest;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.CopyAhead;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.memory.Verification;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;

/** Guests on KVM that write at full speed while their memory is copied ahead. */
@KvmTest
class CopyAheadKvmTest {
    private static final int PAGE = 4096;
    private static final long RAM = 16 << 20;
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId NEXT = new SnapshotId("next");
    private static final int RING_ENTRIES = 4096;

    /** Holds each capture against the memory that the guest had when it stood still. */
    private static final class Watched implements PausableMachine {
        private final KvmGuest guest;
        private MemorySegment atThePause = MemorySegment.NULL;

        Watched(KvmGuest guest) {
            this.guest = guest;
        }

        @Override
        public void pause() throws IOException {
            guest.pause();
        }

        @Override
        public List<MachineStateSection> saveState() throws IOException {
            List<MachineStateSection> state = guest.saveState();
            atThePause = MemorySegment.ofArray(guest.memory().mapping(0).toArray(ValueLayout.JAVA_BYTE));
            return state;
        }

        @Override
        public void resume() throws IOException {
            guest.resume();
        }
    }

    @RealFileSystems(FileSystemKind.XFS)
    @Timeout(value = 1, unit = TimeUnit.HOURS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD) // Long: 200 programs.
    void theImageIsTheMemoryAtThePauseByteForByte(Path on, Seed seed) throws IOException {
        SplittableRandom random = seed.random();
        int programs = Effort.choose(1, 2, 200);
        try (Kvm kvm = Kvm.open(); DirectoryStore store = DirectoryStore.openOrCreate(
                Posix.host(), on.resolve("store"), StoreOptions.PRIVATE)) {
            for (int program = 0; program < programs; program++) {
                for (DirtyTracking tracking : DirtyTracking.values()) {
                    if (!kvm.offers(tracking)) {
                        continue;
                    }
                    long own = random.nextLong();
                    String what = tracking + ", program " + program + " (its own seed " + own + ")";
                    try {
                        live(kvm, store, tracking, new SplittableRandom(own));
                    } catch (IOException | RuntimeException | AssertionError failure) {
                        throw new AssertionError(what + ": " + failure.getMessage(), failure);
                    }
                    for (SnapshotId id : List.of(NEXT, BASE)) {
                        if (store.contains(id)) {
                            store.delete(id);
                        }
                    }
                }
            }
        }
    }

    @RealFileSystems(FileSystemKind.XFS)
    void aSlotThatIsAddedInARoundEndsTheCaptureBeforeThePause(Path on) throws IOException {
        try (Kvm kvm = Kvm.open(); DirectoryStore store = DirectoryStore.openOrCreate(
                Posix.host(), on.resolve("store"), StoreOptions.PRIVATE);
                SmallMachine machine = SmallMachine.create(kvm, SmallMachineSpec.ofRam(RAM));
                KvmGuest guest = machine.guest()) {
            Watched watched = new Watched(guest);
            machine.load(0, GuestProgram.count());
            Capture.of(store, BASE, guest.reader()).tracker(guest.tracker()).take(watched);
            watched.atThePause = MemorySegment.NULL;
            CopyAhead slotAdded = CopyAhead.usual().enough(0).enough(Duration.ZERO).listener((round, written) -> {
                guest.vm().addAlias(new Region(64 << 20, 1 << 20), 1 << 20);
                return true;
            });
            assertThatThrownBy(() -> Capture.of(store, NEXT, guest.reader()).tracker(guest.tracker())
                    .copyAhead(slotAdded).take(watched)).isInstanceOf(SnapshotException.class)
                    .hasMessageContaining("memory slots were added");
            assertThat(watched.atThePause).as("never paused").isEqualTo(MemorySegment.NULL);
            assertThat(store.list()).hasSize(1);
            assertThat(guest.tracker().unknownBecause()).isPresent();
            Capture.of(store, NEXT, guest.reader()).tracker(guest.tracker()).take(watched);
            assertIsThePause(store, NEXT, watched.atThePause);
        }
    }

    private static void live(Kvm kvm, DirectoryStore store, DirtyTracking tracking, SplittableRandom random)
            throws IOException {
        SmallMachineSpec spec = SmallMachineSpec.ofRam(RAM).withVcpus(random.nextInt(1, 5));
        boolean smallRing = tracking == DirtyTracking.RING && random.nextBoolean();
        spec = smallRing ? spec.withRings(RING_ENTRIES) : spec.withTracking(tracking);
        try (SmallMachine machine = SmallMachine.create(kvm, spec); KvmGuest guest = machine.guest()) {
            Watched watched = new Watched(guest);
            for (int vcpu = 0; vcpu < spec.vcpus(); vcpu++) {
                machine.load(vcpu, program(spec, vcpu, random));
            }
            guest.resume();
            if (!capture(store, BASE, watched, CaptureKind.FULL, random)) {
                return;
            }
            List<CaptureKind> kinds = List.of(CaptureKind.FULL, CaptureKind.DIFF, CaptureKind.ONTO_BASE);
            if (random.nextInt(4) == 0) {
                guest.tracker().invalidate("a test says so");
            }
            capture(store, NEXT, watched, kinds.get(random.nextInt(kinds.size())), random);
        }
    }

    /** Each in a part of memory of its own. */
    private static GuestProgram program(SmallMachineSpec spec, int vcpu, SplittableRandom random) {
        long part = (RAM - SmallMachine.PROGRAM_AREA_BYTES) / spec.vcpus() / (2 * PAGE) * (2 * PAGE);
        Region range = new Region(SmallMachine.PROGRAM_AREA_BYTES + vcpu * part, part);
        Pattern[] patterns = Pattern.values();
        return random.nextInt(8) == 0 ? GuestProgram.count()
                : GuestProgram.touch(new Touch(range, patterns[random.nextInt(patterns.length)],
                        random.nextInt() & Integer.MAX_VALUE, random.nextInt(1, 200), 0));
    }

    /** Returns false where a ring was lapped and that was said: a machine with such a ring has come to its end. */
    private static boolean capture(DirectoryStore store, SnapshotId id, Watched machine, CaptureKind kind,
            SplittableRandom random) throws IOException {
        int rounds = random.nextInt(1, 6);
        CopyAhead options = CopyAhead.usual().rounds(rounds).enough(0).enough(Duration.ZERO);
        if (random.nextInt(3) == 0) {
            options = options.bytesASecond(random.nextLong(64 << 20, 512 << 20));
        }
        DirtyTracker tracker = machine.guest.tracker();
        int threads = random.nextInt(1, 3);
        Capture capture = Capture.of(store, id, machine.guest.reader()).kind(kind).threads(threads);
        if (kind != CaptureKind.FULL) {
            capture.base(BASE);
        }
        boolean ring = machine.guest.vm().tracking() == DirtyTracking.RING;
        try {
            CaptureResult result = capture.copyAhead(options).tracker(tracker).take(machine);
            assertThat(result.copiedAhead().orElseThrow().rounds()).isBetween(1, rounds);
        } catch (SnapshotException lost) {
            assertThat(ring).as(lost.getMessage()).isTrue();
            assertThat(lost.getMessage()).contains("a dirty ring of", "overflowed");
            assertThat(store.contains(id)).isFalse();
            return false;
        }
        assertIsThePause(store, id, machine.atThePause);
        return true;
    }

    private static void assertIsThePause(DirectoryStore store, SnapshotId id, MemorySegment expected)
            throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, id).restore(RestoreEngine.EAGER)) {
            assertThat(restored.memory().mapping(0).mismatch(expected)).isEqualTo(-1);
        }
        try (StoredSnapshot held = store.hold(id)) {
            assertThat(Verification.of(held, 1, Progress.NONE).isWhole()).isTrue();
            if (held.pageMap().isPresent()) {
                assertThat(unmapped(store, held.pageMap().get(), expected)).isEmpty();
            }
        }
    }

    /** Pages that differ from the base, and are not in the page map. */
    private static List<Long> unmapped(DirectoryStore store, PageMap map, MemorySegment expected) throws IOException {
        List<Long> missing = new ArrayList<>();
        try (RestoredSnapshot base = Restore.of(store, BASE).restore(RestoreEngine.EAGER)) {
            GuestMemory memory = base.memory();
            for (long page = 0; page < RAM / PAGE; page++) {
                boolean same = MemorySegment.mismatch(memory.mapping(0), page * PAGE, (page + 1) * PAGE,
                        expected, page * PAGE, (page + 1) * PAGE) < 0;
                if (!same && !map.test(page)) {
                    missing.add(page);
                }
            }
        }
        return missing;
    }
}
