package io.microsnap.hvf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.Epoch;
import io.microsnap.hvf.VcpuExit.Reason;
import io.microsnap.hvf.internal.binding.HvReturn;
import io.microsnap.hvf.internal.binding.Numbers;
import io.microsnap.hvf.internal.binding.StandIn.StoreFault;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which exits are writes to tracked memory, whatever they look like, and which are somebody else's. */
@HvfTest(HvfTest.On.STAND_IN)
class WriteFaultTest {
    private static final long PAGE = TestHost.PAGE;
    private static final int DATA_ABORT = 0x24;
    private static final SnapshotReference SNAPSHOT =
            new SnapshotReference(new SnapshotId("base"), new UUID(1, 2), 3);

    private TestHost host;
    private Hooks hooks;
    private StoringGuest guest;
    private final List<VcpuExit> notMine = new ArrayList<>();

    @BeforeEach
    void open() throws IOException {
        host = TestHost.open();
        hooks = new Hooks(host.framework());
        guest = new StoringGuest(Hvf.over(hooks.framework()), (vcpu, exit) -> {
            notMine.add(exit);
            vcpu.set(Register.PC, vcpu.get(Register.PC) + 4);
            // A guest that only leaves is at its end: a test should fail, not hang.
            return notMine.size() < 100;
        });
    }

    @AfterEach
    void close() throws IOException {
        guest.close();
        host.assertClean();
    }

    @ParameterizedTest
    @EnumSource
    void aStoreIsSeenWhateverItIsReportedAs(StoreFault what) throws IOException {
        host.standIn().storesAs(what);
        try (DirtySource source = guest.openSource()) {
            source.arm();
            for (int page = 0; page < 4; page++) {
                guest.store(page, 300 * PAGE * (page % 2) + page * PAGE, 7);
            }
            DirtyBitmap dirty = DirtyBitmap.of(guest.layout());
            source.harvest(dirty);
            for (int page = 0; page < 4; page++) {
                assertThat(dirty.test(300 * PAGE * (page % 2) + page * PAGE)).as("page %d", page).isTrue();
            }
            assertThat(host.standIn().faults()).as("both fault statuses").isGreaterThan(1);
        }
        assertThat(notMine).isEmpty();
    }

    @Test
    void faultsThatNeedNotHaveBeenAreServedToo() throws IOException {
        host.standIn().spurious(2);
        try (DirtySource source = guest.openSource()) {
            source.arm();
            for (int round = 0; round < 20; round++) {
                guest.store(round % 4, round * PAGE, round + 1);
                assertThat(guest.memory().mapping(0).get(ValueLayout.JAVA_INT, round * PAGE)).isEqualTo(round + 1);
            }
        }
        assertThat(notMine).isEmpty();
    }

    /** A pair's abort does not describe its registers; a cache line is invalidated like a write. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void pairsAndCacheMaintenanceAreSeen(boolean pair) throws IOException {
        A64 program = new A64().move(0, guest.layout().guestAddress(40 * PAGE)).move(1, 11).move(2, 12);
        (pair ? program.storePair(1, 2, 0) : program.invalidateLine(0)).call(1).writeTo(
                guest.memory().mapping(0), 0x200);
        try (DirtySource source = guest.openSource()) {
            source.arm();
            Vcpu vcpu = guest.vm().vcpus().getFirst();
            vcpu.call(own -> {
                own.set(Register.PC, guest.layout().guestAddress(0x200));
                own.start();
                return own;
            });
            vcpu.awaitParked();
            DirtyBitmap dirty = DirtyBitmap.of(guest.layout());
            source.harvest(dirty);
            assertThat(dirty.test(40 * PAGE)).isTrue();
            assertThat(guest.memory().mapping(0).get(ValueLayout.JAVA_LONG, 40 * PAGE + 8)).isEqualTo(pair ? 12 : 0);
        }
        assertThat(notMine).isEmpty();
    }

    @Test
    void readingAndExecutingDoNotExit() throws IOException {
        new A64().move(0, guest.layout().guestAddress(300 * PAGE)).load(1, 0, 0)
                .move(2, guest.layout().guestAddress(301 * PAGE)).jumpTo(2).writeTo(guest.memory().mapping(0), 0x200);
        new A64().call(1).writeTo(guest.memory().mapping(1), PAGE);
        try (DirtySource source = guest.openSource()) {
            source.arm();
            int faults = host.standIn().faults();
            Vcpu vcpu = guest.vm().vcpus().getFirst();
            vcpu.call(own -> {
                own.set(Register.PC, guest.layout().guestAddress(0x200));
                own.start();
                return own;
            });
            vcpu.awaitParked();
            assertThat(host.standIn().faults()).isEqualTo(faults);
            DirtyBitmap dirty = DirtyBitmap.of(guest.layout());
            source.harvest(dirty);
            assertThat(dirty.isEmpty()).isTrue();
        }
        assertThat(notMine).isEmpty();
    }

    @Test
    void aWriteOutsideOfMemoryIsTheVmManagers() throws IOException {
        try (DirtySource source = guest.openSource()) {
            source.arm();
            new A64().move(0, 0x0900_0000).move(1, 5).storeWord(1, 0).call(1)
                    .writeTo(guest.memory().mapping(0), 0x200);
            Vcpu vcpu = guest.vm().vcpus().getFirst();
            vcpu.call(own -> {
                own.set(Register.PC, guest.layout().guestAddress(0x200));
                own.start();
                return own;
            });
            vcpu.awaitParked();
        }
        assertThat(notMine).singleElement().satisfies(exit -> {
            assertThat(exit.exceptionClass()).isEqualTo(DATA_ABORT);
            assertThat(exit.physicalAddress()).isEqualTo(0x0900_0000);
            assertThat(exit.syndrome() & ~0xfL).as("a word from register 1 was to be written").isEqualTo(0x9381_0040L);
        });
    }

    @Test
    void whatIsNoWriteIsTheVmManagers() throws IOException {
        long inMemory = guest.layout().guestAddress(0);
        long address = 0x0900_0000;
        try (DirtySource source = guest.openSource()) {
            source.arm();
            VirtualMachine vm = guest.vm();
            assertThat(vm.onException(exception(0x9381_0047L, inMemory))).isTrue();
            assertThat(vm.onException(exception(0x9381_004fL, inMemory))).as("the other status").isTrue();
            assertThat(vm.onException(exception(0x9200_0147L, inMemory))).as("cache maintenance").isTrue();
            assertThat(vm.onException(exception(0x9200_00c7L, inMemory))).as("table walk").isTrue();
            assertThat(vm.onException(exception(0x8200_008fL, inMemory))).as("table walk of a fetch").isTrue();
            assertThat(vm.onException(exception(0x9381_0047L, address))).as("a device").isFalse();
            assertThat(vm.onException(exception(0x9381_0007L, inMemory))).as("a read").isFalse();
            assertThat(vm.onException(exception(0x8200_000fL, inMemory))).as("a fetch").isFalse();
            assertThat(vm.onException(exception(0x5a00_0040L, inMemory))).as("HVC #64").isFalse();
            assertThat(vm.onException(new VcpuExit(Reason.CANCELED, 0x9381_0047L, 0, inMemory))).isFalse();
            assertThat(vm.onException(new VcpuExit(Reason.VTIMER_ACTIVATED, 0x9381_0047L, 0, inMemory))).isFalse();
        }
    }

    @Test
    void withoutATrackerNothingIsMine() throws IOException {
        assertThat(guest.vm().onException(exception(0x9381_0047L, guest.layout().guestAddress(0)))).isFalse();
        DirtySource source = guest.openSource();
        assertThatThrownBy(guest::openSource).isInstanceOf(IllegalStateException.class);
        source.close();
    }

    @Test
    void permissionsAreChangedRegionByRegionWithinThemAndNeverTakeExecution() throws IOException {
        hooks.forget();
        try (DirtySource source = guest.openSource()) {
            source.arm();
            // The block around the border of the regions.
            guest.store(0, 299 * PAGE, 1);
            DirtyBitmap dirty = DirtyBitmap.of(guest.layout());
            source.harvest(dirty);
        }
        List<List<Object>> changes = hooks.calls().stream().filter(call -> call.name().equals("hv_vm_protect"))
                .map(Hooks.Call::arguments).toList();
        long first = guest.layout().regions().getFirst().guestAddress();
        long second = guest.layout().regions().getLast().guestAddress();
        long block = 256 * PAGE;
        assertThat(changes.subList(0, 4)).containsExactly(
                List.of(first, 300 * PAGE, 5L), List.of(second, 211 * PAGE, 5L),
                List.of(first + block, 44 * PAGE, 7L), List.of(second, 84 * PAGE, 7L));
        assertThat(changes).allSatisfy(change ->
                assertThat((long) change.get(2) & Numbers.HV_MEMORY_EXEC).isEqualTo(Numbers.HV_MEMORY_EXEC));
        assertThat(changes.subList(changes.size() - 2, changes.size())).as("closed: writable").containsExactly(
                List.of(first, 300 * PAGE, 7L), List.of(second, 211 * PAGE, 7L));
    }

    /** The first to come waits in the midst of the call until the second would be there, too, if it could. */
    @Test
    void permissionsAreChangedByOneThreadAtATime() throws Exception {
        try (DirtySource source = guest.openSource()) {
            source.arm();
            AtomicInteger inside = new AtomicInteger();
            CountDownLatch entered = new CountDownLatch(1);
            CountDownLatch goOn = new CountDownLatch(1);
            hooks.before(call -> {
                if (call.name().equals("hv_vm_protect")) {
                    assertThat(inside.incrementAndGet()).isOne();
                    entered.countDown();
                    goOn.await();
                    inside.decrementAndGet();
                }
            });
            try {
                guest.beginStore(0, 0, 1);
                entered.await();
                guest.beginStore(1, 300 * PAGE, 1);
                Thread second = threadOf("vcpu-1");
                while (second.getState() != Thread.State.BLOCKED && inside.get() == 1) {
                    Thread.onSpinWait();
                }
                assertThat(inside.get()).isOne();
            } finally {
                goOn.countDown();
            }
            guest.await(0);
            guest.await(1);
            hooks.before(call -> { });
        }
    }

    private static Thread threadOf(String name) {
        return Thread.getAllStackTraces().keySet().stream().filter(thread -> thread.getName().equals(name))
                .findFirst().orElseThrow();
    }

    @Test
    void aProtectionThatFailsHalfWayMakesTheEpochUnknownAndTheNextOneStandsAgain() throws IOException {
        try (DirtyTracker tracker = DirtyTracker.of(guest.layout(), guest.openSource())) {
            tracker.armRelativeTo(SNAPSHOT);
            guest.store(0, 0, 1);
            guest.store(0, 511 * PAGE - PAGE, 1);
            // The second of the two blocks.
            host.standIn().fail("hv_vm_protect", 2, HvReturn.HV_ERROR);
            Epoch epoch = tracker.harvest();
            assertThat(epoch.relativeTo()).isEmpty();
            assertThat(epoch.unknownBecause()).hasValueSatisfying(reason ->
                    assertThat(reason).contains("hv_vm_protect", "HV_ERROR"));
            epoch.commit(SNAPSHOT);
            guest.store(1, 40 * PAGE, 2);
            Epoch next = tracker.harvest();
            assertThat(next.relativeTo()).contains(SNAPSHOT);
            assertThat(next.bitmap().test(40 * PAGE)).isTrue();
        }
    }

    @Test
    void aPageThatCannotBeLetThroughFailsItsVcpuAndSaysWhy() throws IOException {
        try (DirtySource source = guest.openSource()) {
            source.arm();
            host.standIn().fail("hv_vm_protect", 1, HvReturn.HV_NO_RESOURCES);
            assertThatThrownBy(() -> guest.store(2, 0, 1))
                    .hasMessageContainingAll("vCPU 2 failed", "hv_vm_protect", "HV_NO_RESOURCES");
        }
    }

    private static VcpuExit exception(long syndrome, long address) {
        return new VcpuExit(Reason.EXCEPTION, syndrome, address, address);
    }
}
