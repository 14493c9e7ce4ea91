package io.microsnap.hvf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.hvf.internal.binding.HvReturn;
import io.microsnap.hvf.internal.binding.HypervisorException;
import io.microsnap.hvf.internal.binding.StandIn;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a VM can be made of, what it refuses, and that nothing is left of one. */
@HvfTest(HvfTest.On.STAND_IN)
class VirtualMachineTest {
    private static final long GIB = 1L << 30;

    private TestHost host;
    private StandIn standIn;
    private Hooks hooks;
    private Hvf hvf;

    @BeforeEach
    void open() throws IOException {
        host = TestHost.open();
        standIn = host.standIn();
        hooks = new Hooks(host.framework());
        hvf = Hvf.over(hooks.framework());
    }

    @AfterEach
    void nothingIsLeft() {
        host.assertClean();
    }

    @Test
    void memoryIsMappedRegionByRegionBeforeAnyVcpuIsMade() throws IOException {
        try (GuestRam memory = TestHost.memory();
                VirtualMachine vm = hvf.createVirtualMachine(MachineSpec.ofVcpus(1), memory)) {
            vm.createVcpu((vcpu, exit) -> false);
            List<Hooks.Call> maps = hooks.calls().stream().filter(call -> call.name().equals("hv_vm_map")).toList();
            assertThat(maps).hasSize(2);
            assertThat(maps.getLast().arguments().subList(1, 3)).containsExactly(0x8000_0000L, 7L);
            assertThat(hooks.names().lastIndexOf("hv_vm_map")).isLessThan(hooks.names().indexOf("hv_vcpu_create"));
            assertThat(vm.memory()).isSameAs(memory);
        }
    }

    @Test
    void aSecondVmInTheProcessIsRefusedUntilTheFirstIsClosed() throws IOException {
        try (GuestRam memory = TestHost.memory()) {
            VirtualMachine first = hvf.createVirtualMachine(MachineSpec.ofVcpus(1), memory);
            assertThatThrownBy(() -> hvf.createVirtualMachine(MachineSpec.ofVcpus(1), memory))
                    .isInstanceOf(HypervisorException.class)
                    .hasMessageContainingAll("hv_vm_create", "HV_BUSY", "a process has one VM");
            first.close();
            hvf.createVirtualMachine(MachineSpec.ofVcpus(1), memory).close();
        }
    }

    @Test
    void withoutTheEntitlementTheRemedyIsSaid() throws IOException {
        try (GuestRam memory = TestHost.memory()) {
            for (HvReturn result : List.of(HvReturn.HV_DENIED, HvReturn.HV_UNSUPPORTED)) {
                standIn.fail("hv_vm_create", 1, result);
                assertThatThrownBy(() -> hvf.createVirtualMachine(MachineSpec.ofVcpus(1), memory))
                        .isInstanceOfSatisfying(HypervisorException.class,
                                refused -> assertThat(refused.result()).isEqualTo(result))
                        .hasMessageContainingAll("com.apple.security.hypervisor", "docs/running-on-macos.md");
                standIn.fail("hv_vm_create", 1, result);
                assertThatThrownBy(hvf::probe).isInstanceOf(HypervisorException.class)
                        .hasMessageContaining("com.apple.security.hypervisor");
            }
            hvf.probe();
        }
    }

    @Test
    void aMacThatCannotRunGuestsSaysSo() throws IOException {
        hvf.requireSupport();
        assertThat(hvf.osBuild()).isEqualTo("24A335");
        standIn.hvSupport(false);
        assertThatThrownBy(hvf::requireSupport).isInstanceOf(SnapshotException.class)
                .hasMessageContaining("kern.hv_support");
        assertThatThrownBy(Hvf::open).isInstanceOf(HypervisorException.class)
                .hasMessageContaining("Hypervisor.framework cannot be used");
    }

    @Test
    void pagesSmallerThanAGranuleAreRefusedWithWhatToDo() throws IOException {
        GuestLayout small = GuestLayout.ofSingleRegion(4096, 1 << 20);
        try (GuestRam memory = TestHost.memory(small)) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> hvf.createVirtualMachine(MachineSpec.ofVcpus(1), memory))
                    .withMessageContainingAll("4096", "16384", "macOS 26");
            assertThat(hooks.calls()).isEmpty();
            try (VirtualMachine vm = hvf.createVirtualMachine(
                    MachineSpec.ofVcpus(1).withGranule(MachineSpec.GRANULE_4_KIB), memory)) {
                assertThat(vm.spec().granuleBytes()).isEqualTo(4096);
            }
            assertThat(hooks.names()).containsSubsequence(
                    "hv_vm_config_create", "hv_vm_config_set_ipa_granule", "hv_vm_create", "os_release");
        }
    }

    @Test
    void whereTheSmallGranuleLacksThatIsSaid() throws IOException {
        Hvf older = Hvf.over(standIn.framework("hv_vm_config_set_ipa_granule"));
        try (GuestRam memory = TestHost.memory()) {
            assertThatThrownBy(() -> older.createVirtualMachine(
                    MachineSpec.ofVcpus(1).withGranule(MachineSpec.GRANULE_4_KIB), memory))
                    .isInstanceOf(HypervisorException.class)
                    .hasMessageContainingAll("hv_vm_config_set_ipa_granule", "4 KiB", "HV_UNSUPPORTED");
        }
        Hvf oldest = Hvf.over(standIn.framework("hv_vm_config_create"));
        try (GuestRam memory = TestHost.memory()) {
            assertThatThrownBy(() -> oldest.createVirtualMachine(
                    MachineSpec.ofVcpus(1).withGranule(MachineSpec.GRANULE_4_KIB), memory))
                    .isInstanceOf(HypervisorException.class).hasMessageContaining("hv_vm_config_create");
        }
    }

    @Test
    void aRegionThatEndsWithinAGranuleIsRefused() throws IOException {
        GuestLayout uneven = GuestLayout.ofImportedImage(TestHost.PAGE, List.of(new Region(0, TestHost.PAGE + 4096)));
        try (GuestMemory memory = new Unmapped(uneven)) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> hvf.createVirtualMachine(MachineSpec.ofVcpus(1), memory))
                    .withMessageContaining("granules of 16384");
        }
    }

    @Test
    void memoryFarUpHasTheBitsItNeedsAskedFor() throws IOException {
        GuestLayout far = GuestLayout.of(TestHost.PAGE,
                List.of(new Region(0, 1 << 20), new Region(100 * GIB, 1 << 20)));
        try (GuestRam memory = TestHost.memory(far)) {
            hvf.createVirtualMachine(MachineSpec.ofVcpus(1), memory).close();
            assertThat(hooks.calls()).filteredOn(call -> call.name().equals("hv_vm_config_set_ipa_size"))
                    .singleElement().extracting(call -> call.arguments().get(1)).isEqualTo(37);
        }
        GuestLayout tooFar = GuestLayout.of(TestHost.PAGE, List.of(new Region(1L << 41, 1 << 20)));
        try (GuestRam memory = TestHost.memory(tooFar)) {
            assertThatThrownBy(() -> hvf.createVirtualMachine(MachineSpec.ofVcpus(1), memory))
                    .isInstanceOf(HypervisorException.class)
                    .hasMessageContainingAll("hv_vm_config_set_ipa_size", "to 42 bits");
        }
    }

    /** Memory that is not where a page starts: the framework says so, and the VM is gone again. */
    @Test
    void memoryThatCannotBeMappedLeavesNothing() throws IOException {
        try (GuestRam memory = TestHost.memory()) {
            GuestMemory crooked = new Unmapped(memory.layout()) {
                @Override
                public MemorySegment mapping(int region) {
                    return MemorySegment.ofAddress(memory.mapping(region).address() + 8)
                            .asSlice(0, 0);
                }
            };
            assertThatThrownBy(() -> hvf.createVirtualMachine(MachineSpec.ofVcpus(1), crooked))
                    .isInstanceOf(HypervisorException.class).hasMessageContainingAll("hv_vm_map", "HV_BAD_ARGUMENT");
            assertThat(standIn.leaks()).isEmpty();
        }
    }

    @Test
    void specsThatNoVmHasAreRefused() {
        assertThatIllegalArgumentException().isThrownBy(() -> MachineSpec.ofVcpus(0));
        assertThatIllegalArgumentException().isThrownBy(() -> MachineSpec.ofVcpus(257));
        assertThatIllegalArgumentException().isThrownBy(() -> MachineSpec.ofVcpus(1).withGranule(8192));
    }

    /** A guest's whole life, with each call in turn failing: it is said, and only what could not be freed is left. */
    @Test
    void whateverCallFailsNothingIsLeaked() throws IOException {
        MachineSpec spec = MachineSpec.ofVcpus(2).withInterruptController(0x0800_0000L, 0x080a_0000L);
        String failures = "none yet";
        for (int nth = 1; !failures.isEmpty(); nth++) {
            standIn.reset();
            hooks.forget();
            int before = threads();
            try (GuestRam memory = TestHost.memory()) {
                standIn.fail("", nth, HvReturn.HV_ERROR);
                failures = failuresOfALife(spec, memory);
            }
            if (!failures.contains("hv_vcpu_destroy") && !failures.contains("hv_vm_destroy")) {
                assertThat(standIn.leaks()).as("call %d of %s: %s", nth, hooks.names(), failures).isEmpty();
                assertThat(threads()).as("threads; call %d", nth).isLessThanOrEqualTo(before);
            }
            assertThat(standIn.violation()).isEmpty();
            standIn.abandon();
        }
        assertThat(hooks.names()).hasSizeGreaterThan(20);
    }

    /** Returns what the failures said. */
    private String failuresOfALife(MachineSpec spec, GuestRam memory) {
        new A64().label("again").call(1).jump("again").writeTo(memory.mapping(0), 0);
        HvfGuest guest = null;
        StringBuilder failures = new StringBuilder();
        try {
            guest = HvfGuest.create(hvf, spec, memory, (vcpu, exit) -> false);
            guest.tracker().arm();
            for (Vcpu vcpu : guest.vcpus()) {
                vcpu.call(own -> {
                    own.set(Register.PC, memory.layout().guestAddress(0));
                    own.start();
                    return own;
                });
            }
            guest.resume();
            guest.pause();
            guest.tracker().harvest().close();
            guest.resume();
        } catch (IOException failure) {
            assertThat(failure).hasMessageContaining("HV_");
            failures.append(failure.getMessage()).append("; ");
        }
        for (int attempt = 0; guest != null && attempt < 2; attempt++) {
            try {
                guest.close();
            } catch (IOException failure) {
                assertThat(failure).hasMessageContaining("HV_");
                failures.append(failure.getMessage()).append("; ");
            }
        }
        return failures.toString();
    }

    private static int threads() {
        return (int) Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("vcpu-")).count();
    }

    @Test
    void memoryThatIsClosedFirstStaysMappedUntilTheVmIsGone() throws IOException {
        GuestRam memory = TestHost.memory();
        MemorySegment mapping = memory.mapping(0);
        long address = mapping.address();
        long lengthBytes = mapping.byteSize();
        VirtualMachine vm = hvf.createVirtualMachine(MachineSpec.ofVcpus(1), memory);
        memory.close();
        assertThat(isMapped(address, lengthBytes)).isTrue();
        vm.close();
        assertThat(isMapped(address, lengthBytes)).isFalse();
    }

    private static boolean isMapped(long address, long lengthBytes) {
        Posix posix = Posix.host();
        return posix.msync(address, lengthBytes, posix.constants().MS_ASYNC) == 0;
    }

    @Test
    void hostWritesDoNotPassTheSecondStage() throws IOException {
        try (StoringGuest guest = new StoringGuest(hvf); var source = guest.openSource()) {
            source.arm();
            int faults = standIn.faults();
            guest.memory().mapping(0).set(ValueLayout.JAVA_INT, 0, 5);
            assertThat(standIn.faults()).isEqualTo(faults);
        }
    }

    /** A layout and nothing behind it. */
    private static class Unmapped implements GuestMemory {
        private final GuestLayout layout;

        Unmapped(GuestLayout layout) {
            this.layout = layout;
        }

        @Override
        public GuestLayout layout() {
            return layout;
        }

        @Override
        public MemorySegment mapping(int region) {
            throw new IllegalStateException("never asked");
        }

        @Override
        public OptionalInt memfd() {
            return OptionalInt.empty();
        }

        @Override
        public boolean mayBeTruncated() {
            return false;
        }

        @Override
        public void requireMapped() {
            throw new IllegalStateException("never asked");
        }

        @Override
        public Hold hold() {
            return Hold.NOTHING;
        }

        @Override
        public void close() {
            // There is nothing.
        }
    }
}
