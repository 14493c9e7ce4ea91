package io.microsnap.machine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.KvmTest;
import java.io.IOException;
import org.junit.jupiter.api.Test;

/** KVM keeps one log for each slot. Two sources of one VM would take each other's bits, so there is one at a time. */
@KvmTest
class SourceOwnerTest {
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(4096, 4 << 20);

    @Test
    void aSecondSourceOfOneMachineIsRefusedUntilTheFirstIsClosed() throws IOException {
        try (Kvm kvm = Kvm.open(); SmallMachine machine = SmallMachine.create(kvm, SmallMachineSpec.ofLayout(LAYOUT))) {
            DirtyTracker owner = DirtyTracker.of(LAYOUT, machine.openDirtySource());
            assertThatThrownBy(machine::openDirtySource).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("close it first");
            owner.close();
            try (DirtyTracker next = DirtyTracker.of(LAYOUT, machine.openDirtySource())) {
                assertThat(next.layout()).isEqualTo(LAYOUT);
            }
        }
    }
}
