package io.microsnap.hvf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.hvf.VcpuExit.Reason;
import io.microsnap.hvf.internal.binding.HvReturn;
import io.microsnap.hvf.internal.binding.StandIn;
import io.microsnap.testsupport.Effort;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A vCPU keeps to its thread, stops on request, and loses no exit over that. */
@HvfTest
class VcpuTest {
    private static final int HYPERCALL = 0x16;
    private static final long AT_EL1 = 0x3c5;
    private static final long COUNTER = 0x8000;

    private TestHost host;
    private Hooks hooks;
    private GuestRam memory;
    private VirtualMachine vm;
    private final List<VcpuExit> exits = Collections.synchronizedList(new ArrayList<>());
    private final AtomicReference<ExitHandler> handler = new AtomicReference<>((vcpu, exit) -> false);

    @BeforeEach
    void open() throws IOException {
        host = TestHost.open();
        hooks = new Hooks(host.framework());
        memory = TestHost.memory();
        vm = Hvf.over(hooks.framework()).createVirtualMachine(MachineSpec.ofVcpus(2), memory);
    }

    @AfterEach
    void close() throws IOException {
        hooks.before(call -> { });
        vm.close();
        vm.close();
        memory.close();
        host.assertClean();
    }

    /** Counts in memory and asks by a hypercall each time. */
    private Vcpu counting() throws IOException {
        new A64().move(0, address(COUNTER)).label("again").load(1, 0, 0).add(1, 1, 1).store(1, 0, 0).call(3)
                .jump("again").writeTo(memory.mapping(0), 0);
        return vcpu();
    }

    /** Counts, and never leaves by itself. */
    private Vcpu spinning() throws IOException {
        new A64().move(0, address(COUNTER)).label("here").add(1, 1, 1).store(1, 0, 0).jump("here")
                .writeTo(memory.mapping(0), 0);
        return vcpu();
    }

    private Vcpu vcpu() throws IOException {
        Vcpu vcpu = vm.createVcpu((own, exit) -> {
            exits.add(exit);
            return handler.get().handle(own, exit);
        });
        vcpu.call(own -> {
            own.set(Register.CPSR, AT_EL1);
            own.set(Register.PC, address(0));
            return own;
        });
        return vcpu;
    }

    private long address(long offset) {
        return memory.layout().guestAddress(offset);
    }

    private long counted() {
        return (long) ValueLayout.JAVA_LONG.varHandle().getVolatile(memory.mapping(0), COUNTER);
    }

    @Test
    void itIsOffAndPausedAtFirstAndRunsWhenItIsNeither() throws IOException {
        Vcpu vcpu = counting();
        assertThat(vcpu.isOn()).isFalse();
        vcpu.start();
        assertThat(vcpu.isOn()).isTrue();
        vcpu.awaitParked();
        assertThat(counted()).isZero();
        vcpu.resume();
        vcpu.awaitParked();
        assertThat(vcpu.isOn()).as("its handler stopped it").isFalse();
        assertThat(counted()).isOne();
        vcpu.pause();
        vcpu.resume();
        vcpu.awaitParked();
        assertThat(counted()).as("what is off is not resumed").isOne();
        vcpu.start();
        vcpu.awaitParked();
        assertThat(counted()).isEqualTo(2);
        assertThat(exits).hasSize(2).allMatch(exit -> exit.exceptionClass() == HYPERCALL
                && (exit.syndrome() & 0xffff) == 3);
    }

    @Test
    void aGuestThatNeverLeavesIsTakenOutAndGoesOn() throws IOException {
        Vcpu vcpu = spinning();
        vcpu.start();
        for (int round = 0; round < Effort.choose(5, 30, 300); round++) {
            long before = counted();
            vcpu.resume();
            while (counted() == before) {
                Thread.onSpinWait();
            }
            vcpu.pause();
            long stopped = counted();
            assertThat(vcpu.<Long>call(own -> own.get(Register.X1)).longValue()).isBetween(stopped, stopped + 1);
        }
        assertThat(exits).as("a request to leave is no exit of the guest's").isEmpty();
    }

    /** Wherever the pause falls, each hypercall is served once, and none is forgotten. */
    @Test
    void noExitIsLostOrServedTwiceHoweverOftenItIsPaused() throws IOException {
        AtomicBoolean goesOn = new AtomicBoolean(true);
        handler.set((vcpu, exit) -> goesOn.get());
        Vcpu vcpu = counting();
        vcpu.start();
        for (int round = 0; round < Effort.choose(50, 100, 5000); round++) {
            vcpu.resume();
            long before = counted();
            while (round % 2 == 0 && counted() == before) {
                Thread.onSpinWait();
            }
            vcpu.pause();
            // The guest may have been stopped after it counted and before it left.
            assertThat((long) exits.size()).isBetween(counted() - 1, counted());
        }
        goesOn.set(false);
        vcpu.resume();
        vcpu.awaitParked();
        assertThat(exits).hasSize(Math.toIntExact(counted())).allMatch(exit -> exit.reason() == Reason.EXCEPTION);
    }

    /** The request comes after the vCPU has left by itself: the guest's exit counts, and the request is spent later. */
    @Test
    void aPauseThatCrossesAnExitKeepsTheExit() throws Exception {
        CountDownLatch serving = new CountDownLatch(1);
        CountDownLatch asked = new CountDownLatch(1);
        handler.set((vcpu, exit) -> {
            serving.countDown();
            await(asked);
            return true;
        });
        Vcpu vcpu = counting();
        vcpu.start();
        vcpu.resume();
        serving.await();
        vcpu.requestPause();
        asked.countDown();
        vcpu.awaitPause();
        assertThat(exits).hasSize(1);
        assertThat(counted()).isOne();
        assertThat(vcpu.isOn()).isTrue();
        handler.set((own, exit) -> false);
        vcpu.resume();
        vcpu.awaitParked();
        assertThat(counted()).isEqualTo(2);
        assertThat(exits).hasSize(2);
    }

    /** The request comes before the vCPU is in the guest: it does not get in. */
    @Test
    void aPauseJustBeforeTheGuestIsEnteredIsNotMissed() throws Exception {
        Vcpu vcpu = spinning();
        AtomicBoolean once = new AtomicBoolean();
        hooks.before(call -> {
            if (call.name().equals("hv_vcpu_run") && !once.getAndSet(true)) {
                CountDownLatch requested = new CountDownLatch(1);
                Thread.ofPlatform().start(() -> {
                    try {
                        vcpu.requestPause();
                    } catch (IOException failed) {
                        throw new IllegalStateException(failed);
                    }
                    requested.countDown();
                });
                requested.await();
            }
        });
        vcpu.start();
        vcpu.resume();
        while (!once.get()) {
            Thread.onSpinWait();
        }
        vcpu.awaitPause();
        assertThat(vcpu.<Long>call(own -> own.get(Register.X1)).longValue()).as("it never ran").isZero();
    }

    @Test
    void everyCallOfAVcpuIsMadeOnItsThread() throws IOException {
        Vcpu vcpu = counting();
        assertThatThrownBy(() -> vcpu.get(Register.PC)).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("vCPU 0", "its own thread", "call()");
        Thread[] own = new Thread[1];
        vcpu.call(each -> {
            own[0] = Thread.currentThread();
            assertThat(own[0].isVirtual()).isFalse();
            each.set(SystemRegister.TPIDR_EL1, 0x1234_5678_9abcL);
            assertThat(each.get(SystemRegister.TPIDR_EL1)).isEqualTo(0x1234_5678_9abcL);
            return each.call(again -> again.get(SystemRegister.MPIDR_EL1));
        });
        assertThat(own[0].getName()).isEqualTo("vcpu-0");
        assertThatThrownBy(() -> vcpu.call(each -> {
            throw new IOException("of the task");
        })).isInstanceOf(IOException.class).hasMessage("of the task");
        assertThatThrownBy(() -> vcpu.call(each -> {
            throw new IllegalArgumentException("of the task");
        })).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void whatRunsIsLeftAlone() throws IOException {
        Vcpu vcpu = spinning();
        vcpu.start();
        vcpu.resume();
        assertThatThrownBy(() -> vcpu.call(own -> own)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("pause it first");
        vcpu.pause();
        assertThat(vcpu.<Vcpu>call(own -> own).index()).isZero();
    }

    @Test
    void aHandlerCannotWaitForItself() throws IOException {
        handler.set((vcpu, exit) -> {
            vcpu.pause();
            return true;
        });
        Vcpu vcpu = counting();
        vcpu.start();
        vcpu.resume();
        assertThatThrownBy(vcpu::awaitParked).hasMessageContainingAll("vCPU 0 failed", "cannot pause itself");
    }

    @Test
    void aHandlerThatFailsStopsItsVcpuAndEverybodyIsTold() throws IOException {
        handler.set((vcpu, exit) -> {
            throw new IOException("the disk is gone");
        });
        Vcpu vcpu = counting();
        vcpu.start();
        vcpu.resume();
        assertThatThrownBy(vcpu::awaitParked).hasMessageContainingAll("vCPU 0 failed", "the disk is gone");
        assertThatThrownBy(vcpu::pause).hasMessageContainingAll("vCPU 0 failed", "the disk is gone");
        vcpu.resume();
        assertThat(counted()).isOne();
        assertThat(vcpu.<Long>call(own -> own.get(Register.X1)).longValue()).as("it may be looked at").isOne();
    }

    @Test
    void whatIsClosedSaysSo() throws IOException {
        Vcpu vcpu = spinning();
        vcpu.start();
        vcpu.resume();
        vm.close();
        assertThatThrownBy(() -> vcpu.call(own -> own)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
        assertThatThrownBy(vcpu::start).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(vcpu::pause).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> vm.createVcpu((own, exit) -> false)).isInstanceOf(IllegalStateException.class);
    }

    /** The framework forgets a line whenever the guest is left, be it for a request or for a page. */
    @Test
    void aLineStaysHighUntilItIsLowered() throws IOException {
        assumeTrue(host.library().isPresent(), "only the stand-in tells which lines were high in the guest");
        Vcpu vcpu = counting();
        AtomicBoolean goesOn = new AtomicBoolean(true);
        handler.set((own, exit) -> goesOn.get());
        vcpu.setLine(InterruptLine.IRQ, true);
        vcpu.start();
        vcpu.resume();
        while (counted() < 100) {
            Thread.onSpinWait();
        }
        vcpu.pause();
        StandIn standIn = host.standIn();
        assertThat(standIn.pendingWhenRun(StandIn.vcpuId(0), 0)).isTrue();
        assertThat(standIn.pendingWhenRun(StandIn.vcpuId(0), 1)).isFalse();
        vcpu.setLine(InterruptLine.IRQ, false);
        vcpu.setLine(InterruptLine.FIQ, true);
        goesOn.set(false);
        vcpu.resume();
        vcpu.awaitParked();
        assertThat(standIn.pendingWhenRun(StandIn.vcpuId(0), 0)).isFalse();
        assertThat(standIn.pendingWhenRun(StandIn.vcpuId(0), 1)).isTrue();
        assertThat(vcpu.line(InterruptLine.FIQ)).isTrue();
    }

    @Test
    void aTimerThatFiresIsTheVmManagers() throws IOException {
        Vcpu vcpu = spinning();
        vcpu.call(own -> {
            own.set(SystemRegister.CNTV_CVAL_EL0, 0);
            own.set(SystemRegister.CNTV_CTL_EL0, 1);
            return own;
        });
        vcpu.start();
        vcpu.resume();
        vcpu.awaitParked();
        assertThat(exits).singleElement().extracting(VcpuExit::reason).isEqualTo(Reason.VTIMER_ACTIVATED);
    }

    @Test
    void twoThatRunAreTwoThreads() throws IOException {
        Vcpu first = spinning();
        Vcpu second = vcpu();
        assertThat(first.<Long>call(own -> own.get(SystemRegister.MPIDR_EL1)).longValue()).isEqualTo(0x8000_0000L);
        assertThat(second.<Long>call(own -> own.get(SystemRegister.MPIDR_EL1)).longValue()).isEqualTo(0x8000_0001L);
        first.start();
        second.start();
        first.resume();
        second.resume();
        first.pause();
        assertThatThrownBy(() -> second.call(own -> own)).isInstanceOf(IllegalStateException.class);
        second.pause();
        assertThatThrownBy(this::vcpu).isInstanceOf(IllegalStateException.class).hasMessageContaining("2 vCPUs");
    }

    @Test
    void aVcpuThatCannotBeMadeLeavesNothing() throws IOException {
        assumeTrue(host.library().isPresent(), "only the stand-in fails on request");
        for (String call : List.of("hv_vcpu_create", "hv_vcpu_set_sys_reg")) {
            host.standIn().fail(call, 1, HvReturn.HV_NO_RESOURCES);
            assertThatThrownBy(this::vcpu).hasMessageContainingAll(call, "HV_NO_RESOURCES", "fewer vCPUs");
        }
        assertThat(vm.vcpus()).isEmpty();
        assertThat(vcpu().index()).isZero();
    }

    @Test
    void interruptingWhoWaitsIsKeptForLater() throws IOException {
        Vcpu vcpu = spinning();
        vcpu.start();
        vcpu.resume();
        Thread.currentThread().interrupt();
        vcpu.pause();
        assertThat(Thread.interrupted()).isTrue();
    }

    @Test
    void memoryMayBeClosedBeforeTheGuestThatStandsStill() throws IOException {
        Vcpu vcpu = counting();
        MemorySegment mapping = memory.mapping(0);
        memory.close();
        assertThatThrownBy(() -> mapping.get(ValueLayout.JAVA_LONG, 0)).isInstanceOf(IllegalStateException.class);
        vcpu.pause();
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException never) {
            throw new IllegalStateException(never);
        }
    }
}
