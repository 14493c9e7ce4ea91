package io.microsnap.machine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.KvmTest;
import io.microsnap.kvm.Vcpu;
import io.microsnap.kvm.VcpuExit;
import io.microsnap.kvm.VirtualMachine;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** KVM's three ways, the page-map scan and the model of the programs agree on what a guest wrote. */
@KvmTest
class WitnessTest {
    private static final long MIB = 1 << 20;
    private static final GuestLayout LAYOUT = GuestLayout.of(4096,
            List.of(new Region(0, 8 * MIB), new Region(4096 * MIB, 4 * MIB)));

    @Test
    void programsOnSeveralProcessorsAreReportedExactlyByAllWitnesses(Seed seed) throws Exception {
        SplittableRandom random = seed.random();
        for (DirtyTracking tracking : DirtyTracking.values()) {
            SmallMachineSpec spec = SmallMachineSpec.ofLayout(LAYOUT).withVcpus(2).withTracking(tracking);
            try (Kvm kvm = Kvm.open(); SmallMachine machine = SmallMachine.create(kvm, spec);
                    DirtySource source = machine.openDirtySource();
                    DirtySource witness = DirtySource.ofPageMap(machine.memory())) {
                for (int program = 0; program < Effort.choose(10, 30, 700); program++) {
                    Touch first = touch(random, machine.reach().getFirst());
                    Touch second = touch(random, machine.reach().getLast());
                    machine.load(0, GuestProgram.touch(first));
                    machine.load(1, GuestProgram.touch(second));
                    source.arm();
                    witness.arm();
                    machine.resume();
                    DirtyBitmap seen = DirtyBitmap.of(LAYOUT);
                    while (!machine.hasFinished(0) || !machine.hasFinished(1)) {
                        source.harvest(seen);
                    }
                    machine.awaitFinish();
                    source.harvest(seen);
                    DirtyBitmap witnessed = DirtyBitmap.of(LAYOUT);
                    witness.harvest(witnessed);
                    Set<Long> expected = new TreeSet<>();
                    addTo(expected, first, machine.reach().getFirst());
                    addTo(expected, second, machine.reach().getLast());
                    // The counters.
                    expected.add(0x2000L);
                    expected.add(0x4000L);
                    assertThat(pages(seen)).as("%s, program %d, %s", source.name(), program, seed)
                            .isEqualTo(expected);
                    assertThat(pages(witnessed)).as("%s, program %d, %s", witness.name(), program, seed)
                            .isEqualTo(expected);
                }
            }
        }
    }

    @Test
    void aRingThatIsTooSmallForItsGuestIsEmptiedInTimeOrSaysThatItRanOver() throws Exception {
        Touch touch = new Touch(new Region(2 * MIB, 4 * MIB), Pattern.RANDOM, 5, 1024, 3);
        SmallMachineSpec spec = SmallMachineSpec.ofLayout(LAYOUT).withRings(256);
        try (Kvm kvm = Kvm.open(); SmallMachine machine = SmallMachine.create(kvm, spec);
                DirtySource source = machine.openDirtySource()) {
            machine.load(0, GuestProgram.touch(touch));
            source.arm();
            machine.resume();
            DirtyBitmap seen = DirtyBitmap.of(LAYOUT);
            try {
                machine.awaitFinish();
                source.harvest(seen);
                assertThat(seen.count()).isEqualTo(1024 + 1);
            } catch (SnapshotException ranOver) {
                // A KVM that emulates real mode many instructions at a time. It does not get better.
                assertThat(ranOver).hasMessageContaining("overflowed").hasMessageContaining("larger rings");
                assertThatThrownBy(() -> source.harvest(seen)).hasMessageContaining("overflowed");
                assertThatThrownBy(source::arm).hasMessageContaining("overflowed");
            }
        }
    }

    /** A KVM that emulates real mode overwrites such a ring; any other leaves it full. Neither matters at the end. */
    @Test
    void closingSucceedsWhateverBecameOfTheRingSinceTheLastHarvest() throws Exception {
        Touch touch = new Touch(new Region(2 * MIB, 4 * MIB), Pattern.RANDOM, 5, 1024, 3);
        try (Kvm kvm = Kvm.open();
                GuestRam memory = GuestRam.anonymous(Posix.host(), LAYOUT, HugePages.NONE);
                VirtualMachine vm = kvm.createVirtualMachine(DirtyTracking.RING, 256)) {
            vm.register(memory);
            Vcpu vcpu = vm.createVcpu();
            DirtySource source = vm.openDirtySource();
            source.arm();
            assertThat(run(GuestProgram.touch(touch), vcpu, memory)).isEqualTo(VcpuExit.Plain.DIRTY_RING_FULL);
            source.close();
        }
    }

    @Test
    void aProcessorThatWasMadeBeforeItsMemoryHasItsRingToo() throws Exception {
        try (Kvm kvm = Kvm.open();
                GuestRam memory = GuestRam.anonymous(Posix.host(), LAYOUT, HugePages.NONE);
                VirtualMachine vm = kvm.createVirtualMachine(DirtyTracking.RING, 1024)) {
            Vcpu vcpu = vm.createVcpu();
            vm.register(memory);
            DirtySource source = vm.openDirtySource();
            source.arm();
            VcpuExit exit = run(GuestProgram.checksum(new Region(MIB, 4096)), vcpu, memory);
            assertThat(exit).isInstanceOf(VcpuExit.PortAccess.class);
            DirtyBitmap seen = DirtyBitmap.of(LAYOUT);
            source.harvest(seen);
            assertThat(pages(seen)).containsExactly(0x2000L);
        }
    }

    /** Runs a program that was loaded by no machine, until it exits. */
    private static VcpuExit run(GuestProgram program, Vcpu vcpu, GuestRam memory) throws Exception {
        byte[] code = program.assemble(0x2000);
        MemorySegment.copy(code, 0, memory.mapping(0), ValueLayout.JAVA_BYTE, 0x1000, code.length);
        SmallMachine.begin(vcpu, 0x1000);
        VcpuExit exit = vcpu.run();
        while (exit == VcpuExit.Plain.INTERRUPTED) {
            exit = vcpu.run();
        }
        return exit;
    }

    private static Touch touch(SplittableRandom random, SmallMachine.Reach reach) {
        long pages = reach.guest().lengthBytes() / 4096;
        long length = 16 + random.nextLong(pages - 16);
        long start = random.nextLong(pages - length + 1);
        List<Pattern> patterns = List.of(Pattern.values());
        return new Touch(new Region(reach.guest().guestAddress() + start * 4096, length * 4096),
                patterns.get(random.nextInt(patterns.size())), random.nextInt(), 1 + random.nextInt(200),
                1 + random.nextInt(3));
    }

    private static void addTo(Set<Long> expected, Touch touch, SmallMachine.Reach reach) {
        touch.pages((long) touch.touchesPerRound() * touch.rounds(),
                page -> expected.add(page - reach.guest().guestAddress() + reach.imageOffset()));
    }

    private static Set<Long> pages(DirtyBitmap bitmap) throws Exception {
        Set<Long> pages = new TreeSet<>();
        bitmap.runs(0, (offset, length) -> {
            for (long page = offset; page < offset + length; page += 4096) {
                pages.add(page);
            }
        });
        return pages;
    }
}
