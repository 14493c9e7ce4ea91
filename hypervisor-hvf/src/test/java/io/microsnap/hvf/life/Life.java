package io.microsnap.hvf.life;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.hvf.A64;
import io.microsnap.hvf.ExitHandler;
import io.microsnap.hvf.Hvf;
import io.microsnap.hvf.HvfGuest;
import io.microsnap.hvf.MachineSpec;
import io.microsnap.hvf.Register;
import io.microsnap.hvf.TestHost;
import io.microsnap.hvf.Vcpu;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;

/**
 * A process in which a guest lives for one generation: restored from the last snapshot (or born), run, found to be
 * going on from where it was with its memory right, captured while it runs, closed. Says a line.
 *
 * <p>Each vCPU touches pages of a half of memory that is its own, in the order of a random sequence that only its
 * registers hold: a page gets the number of the touch. Going over the same sequence tells what memory must hold.
 */
public final class Life {
    static final int VCPUS = 2;
    private static final long PAGE = TestHost.PAGE;
    /** A power of two, to mask the sequence with. */
    private static final long PAGES_EACH = 256;
    private static final GuestLayout LAYOUT = GuestLayout.of((int) PAGE, List.of(
            new Region(0x4000_0000L, PAGES_EACH * PAGE), new Region(0x8000_0000L, (PAGES_EACH + 2) * PAGE)));
    /** Behind the touched half of the second region: a page of code, and one where the vCPUs say how far they are. */
    private static final long CODE = 2 * PAGES_EACH * PAGE;
    private static final long PROGRESS = CODE + PAGE;
    private static final long MULTIPLIER = 6_364_136_223_846_793_005L;
    private static final long INCREMENT = 1_442_695_040_888_963_407L;
    private static final int BITS = 40;
    private static final long TOUCHES_IN_A_LIFE = 200;
    private static final long AT_EL1 = 0x3c5;

    private Life() {
    }

    /** How a restore makes memory. */
    enum Engine {
        LAZY, EAGER;

        RestoredSnapshot restore(Restore restore) throws IOException {
            return this == LAZY ? restore.restore(RestoreEngine.LAZY) : restore.restore(RestoreEngine.EAGER);
        }
    }

    /** Arguments: store, generation, kind of capture, engine. */
    public static void main(String[] arguments) throws Exception {
        int generation = Integer.parseInt(arguments[1]);
        CaptureKind kind = CaptureKind.valueOf(arguments[2]);
        TestHost host = TestHost.open();
        try (DirectoryStore store = DirectoryStore.openOrCreate(
                Posix.host(), Path.of(arguments[0]), StoreOptions.PRIVATE)) {
            if (generation == 0) {
                beBorn(host.hvf(), store);
            } else {
                live(host.hvf(), store, generation, kind, Engine.valueOf(arguments[3]));
            }
        }
        host.assertClean();
    }

    private static void beBorn(Hvf hvf, DirectoryStore store) throws Exception {
        try (GuestRam memory = TestHost.memory(LAYOUT);
                HvfGuest guest = HvfGuest.create(hvf, MachineSpec.ofVcpus(VCPUS), memory, handler())) {
            writeProgram(memory);
            for (Vcpu vcpu : guest.vcpus()) {
                vcpu.call(own -> {
                    own.set(Register.CPSR, AT_EL1);
                    own.set(Register.PC, LAYOUT.guestAddress(CODE));
                    own.set(Register.X0, seed(own.index()));
                    own.set(Register.X3, LAYOUT.regions().get(own.index()).guestAddress());
                    own.set(Register.X4, LAYOUT.guestAddress(PROGRESS) + own.index() * 8L);
                    own.start();
                    return own;
                });
            }
            liveOn(guest, store, 0, CaptureKind.FULL);
        }
    }

    private static void live(Hvf hvf, DirectoryStore store, int generation, CaptureKind kind, Engine engine)
            throws Exception {
        try (RestoredSnapshot restored = engine.restore(Restore.of(store, id(generation - 1)).verified());
                HvfGuest guest = HvfGuest.restored(hvf, restored, handler())) {
            liveOn(guest, store, generation, kind);
        }
    }

    /** X0 the sequence, X1 how many touches, X3 the half of memory, X4 where to say so, X5 and X6 the constants. */
    private static void writeProgram(GuestRam memory) {
        new A64().move(5, MULTIPLIER).move(6, INCREMENT).move(7, PAGES_EACH - 1).move(8, PAGE)
                .label("touch")
                .multiply(0, 0, 5).addRegister(0, 0, 6)
                .shiftRight(2, 0, BITS).and(2, 2, 7).multiply(2, 2, 8).addRegister(2, 2, 3)
                .add(1, 1, 1).store(1, 2, 16).store(1, 4, 0).call(1)
                .jump("touch")
                .writeTo(memory.mapping(1), CODE - PAGES_EACH * PAGE);
    }

    /** The guest asks at every touch whether it may go on; it always may. */
    private static ExitHandler handler() {
        return (vcpu, exit) -> {
            if (exit.exceptionClass() != 0x16) {
                throw new IllegalStateException("the guest left for " + exit);
            }
            return true;
        };
    }

    private static void liveOn(HvfGuest guest, DirectoryStore store, int generation, CaptureKind kind)
            throws Exception {
        long[] before = {touches(guest, 0), touches(guest, 1)};
        guest.resume();
        for (int vcpu = 0; vcpu < VCPUS; vcpu++) {
            while (touches(guest, vcpu) < before[vcpu] + TOUCHES_IN_A_LIFE) {
                Thread.onSpinWait();
            }
        }
        // Captured while it runs: the capture pauses it, and it goes on.
        Witness witness = new Witness(guest);
        CaptureResult result = Capture.of(store, id(generation), guest.reader()).tracker(guest.tracker()).kind(kind)
                .take(witness);
        long captured = touches(guest, 0);
        while (touches(guest, 0) == captured) {
            Thread.onSpinWait();
        }
        guest.pause();
        check(guest);
        System.out.println("generation " + generation + " " + result.kind() + " from " + before[0] + " " + before[1]
                + " to " + witness.touches[0] + " " + witness.touches[1] + " pages " + result.memory().pagesRecorded());
    }

    private static long touches(HvfGuest guest, int vcpu) {
        return (long) ValueLayout.JAVA_LONG.varHandle().getVolatile(
                guest.memory().mapping(1), PROGRESS - PAGES_EACH * PAGE + vcpu * 8L);
    }

    private static long seed(int vcpu) {
        return 77L + vcpu;
    }

    /** Every page holds the number of the last touch that the sequence gave it. */
    static void check(HvfGuest guest) {
        for (int vcpu = 0; vcpu < VCPUS; vcpu++) {
            long[] expected = new long[(int) PAGES_EACH];
            long sequence = seed(vcpu);
            for (long touch = 1; touch <= touches(guest, vcpu); touch++) {
                sequence = sequence * MULTIPLIER + INCREMENT;
                expected[(int) ((sequence >>> BITS) & (PAGES_EACH - 1))] = touch;
            }
            MemorySegment half = guest.memory().mapping(vcpu);
            for (int page = 0; page < PAGES_EACH; page++) {
                long found = half.get(ValueLayout.JAVA_LONG, page * PAGE + 16);
                // The last touch may be on its way: stored, and not yet told.
                if (found != expected[page] && found != touches(guest, vcpu) + 1) {
                    throw new AssertionError("vCPU " + vcpu + ", page " + page + ": " + found + " instead of "
                            + expected[page]);
                }
            }
        }
    }

    /** The guest, whose touches are noted while it is paused: what the next generation begins from. */
    private static final class Witness implements PausableMachine {
        private final HvfGuest guest;
        private final long[] touches = new long[VCPUS];

        Witness(HvfGuest guest) {
            this.guest = guest;
        }

        @Override
        public void pause() throws IOException {
            guest.pause();
        }

        @Override
        public List<MachineStateSection> saveState() throws IOException {
            for (int vcpu = 0; vcpu < VCPUS; vcpu++) {
                touches[vcpu] = Life.touches(guest, vcpu);
            }
            return guest.saveState();
        }

        @Override
        public void resume() throws IOException {
            guest.resume();
        }
    }

    private static SnapshotId id(int generation) {
        return new SnapshotId("generation-" + generation);
    }
}
