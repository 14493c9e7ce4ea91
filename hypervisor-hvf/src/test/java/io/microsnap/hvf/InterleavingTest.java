package io.microsnap.hvf;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.internal.ProtectionSource;
import io.microsnap.dirty.internal.WriteProtection;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * One vCPU is in the midst of a fault, or a harvest is in the midst of its work, and just then the other happens whole:
 * at every change of a permission, before it and after it. Base and epochs must make the guest's memory all the same.
 * Any other order of the steps of {@link ProtectionSource} fails here, every time.
 */
@HvfTest
class InterleavingTest {
    private enum Moment { BEFORE, AFTER }

    private static final long PAGE = TestHost.PAGE;

    private TestHost host;
    private StoringGuest guest;
    private HookedProtection protection;
    private ProtectionSource source;
    private MemorySegment copy;

    @BeforeEach
    void open() throws IOException {
        host = TestHost.open();
        guest = new StoringGuest(host.hvf(), (vcpu, exit) -> {
            assertThat(exit.mayBeWrite()).as("%s", exit).isTrue();
            source.faulted(guest.layout().imageOffsetOf(exit.physicalAddress()));
            return true;
        });
        protection = new HookedProtection(new GuestProtection(host.framework(), guest.layout()));
        source = new ProtectionSource("interleaved", protection, 2 << 20);
        copy = MemorySegment.ofArray(new byte[Math.toIntExact(guest.layout().lengthBytes())]);
    }

    @AfterEach
    void close() throws IOException {
        source.close();
        guest.close();
        host.assertClean();
    }

    @ParameterizedTest
    @EnumSource
    void aHarvestWhileAFaultLetsItsPageThroughLosesNothing(Moment moment) throws IOException {
        begin();
        protection.whenAllowing(moment, this::harvestAndCopy);
        guest.store(0, 5 * PAGE, 1);
        assertThat(protection.interrupted()).as("the fault was interrupted").isTrue();
        guest.store(0, 5 * PAGE, 2);
        harvestAndCopy();
        assertNothingLost();
    }

    @ParameterizedTest
    @EnumSource
    void aFaultWhileAHarvestProtectsLosesNothing(Moment moment) throws IOException {
        begin();
        guest.store(0, 5 * PAGE, 1);
        protection.whenProtecting(moment, () -> guest.store(1, 5 * PAGE, 2));
        harvestAndCopy();
        assertThat(protection.interrupted()).as("the harvest was interrupted").isTrue();
        guest.store(2, 5 * PAGE, 3);
        harvestAndCopy();
        assertNothingLost();
    }

    /** The copy is the third step of a harvest: what is written after it must be seen by the next one. */
    @ParameterizedTest
    @EnumSource
    void aStoreAroundTheCopyLosesNothing(Moment moment) throws IOException {
        begin();
        guest.store(0, 5 * PAGE, 1);
        DirtyBitmap dirty = DirtyBitmap.of(guest.layout());
        source.harvest(dirty);
        if (moment == Moment.BEFORE) {
            guest.store(1, 5 * PAGE, 2);
        }
        dirty.runs(0, this::copy);
        if (moment == Moment.AFTER) {
            guest.store(1, 5 * PAGE, 2);
        }
        harvestAndCopy();
        assertNothingLost();
    }

    @ParameterizedTest
    @EnumSource
    void blocksThatAreSplitLoseNothingEither(Moment moment) throws IOException {
        begin();
        for (int round = 0; round < 3; round++) {
            guest.store(0, 5 * PAGE, 10 + round);
            harvestAndCopy();
        }
        assertThat(source.splitBlocks()).isPositive();
        protection.whenAllowing(moment, this::harvestAndCopy);
        guest.store(0, 5 * PAGE, 1);
        guest.store(1, 6 * PAGE, 2);
        guest.store(0, 5 * PAGE, 3);
        harvestAndCopy();
        assertNothingLost();
    }

    private void begin() throws IOException {
        source.arm();
        guest.read(0, copy);
    }

    private void harvestAndCopy() throws IOException {
        DirtyBitmap reported = DirtyBitmap.of(guest.layout());
        DirtyBitmap changed = DirtyBitmap.of(guest.layout());
        source.harvest(reported);
        reported.runs(0, (offset, length) -> {
            MemorySegment now = MemorySegment.ofArray(new byte[Math.toIntExact(length)]);
            guest.read(offset, now);
            for (long at = 0; at < length; at += PAGE) {
                if (now.asSlice(at, PAGE).mismatch(copy.asSlice(offset + at, PAGE)) >= 0) {
                    changed.set(offset + at);
                }
            }
            copy(offset, length);
        });
        source.learn(reported, changed);
    }

    private void copy(long offset, long length) {
        guest.read(offset, copy.asSlice(offset, length));
    }

    private void assertNothingLost() {
        MemorySegment now = MemorySegment.ofArray(new byte[Math.toIntExact(guest.layout().lengthBytes())]);
        guest.read(0, now);
        assertThat(now.mismatch(copy)).as("where memory and copy differ").isEqualTo(-1);
    }

    private interface Interruption {
        void happen() throws IOException;
    }

    /** Between the source and the second stage, outside of the lock that orders the calls. */
    private static final class HookedProtection implements WriteProtection {
        private final WriteProtection target;
        private final List<Interruption> before = new ArrayList<>();
        private final List<Interruption> after = new ArrayList<>();
        private boolean allowing;
        private boolean interrupted;

        HookedProtection(WriteProtection target) {
            this.target = target;
        }

        void whenAllowing(Moment moment, Interruption what) {
            allowing = true;
            (moment == Moment.BEFORE ? before : after).add(what);
        }

        void whenProtecting(Moment moment, Interruption what) {
            allowing = false;
            (moment == Moment.BEFORE ? before : after).add(what);
        }

        boolean interrupted() {
            return interrupted;
        }

        @Override
        public GuestLayout layout() {
            return target.layout();
        }

        @Override
        public void protect(long imageOffset, long lengthBytes) throws IOException {
            around(false, () -> target.protect(imageOffset, lengthBytes));
        }

        @Override
        public void allow(long imageOffset, long lengthBytes) throws IOException {
            around(true, () -> target.allow(imageOffset, lengthBytes));
        }

        private void around(boolean allow, Interruption effect) throws IOException {
            if (allow == allowing) {
                interrupt(before);
            }
            effect.happen();
            if (allow == allowing) {
                interrupt(after);
            }
        }

        private void interrupt(List<Interruption> waiting) throws IOException {
            List<Interruption> now = List.copyOf(waiting);
            waiting.clear();
            for (Interruption each : now) {
                interrupted = true;
                each.happen();
            }
        }
    }
}
