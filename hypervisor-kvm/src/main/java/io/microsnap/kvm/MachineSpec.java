package io.microsnap.kvm;

import io.microsnap.core.MachineStateSection;
import java.io.IOException;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * The parts of a VM beside its memory.
 *
 * @param vcpus how many vCPUs
 * @param interruptChip whether it has KVM's own interrupt controllers and interval timer
 * @param tracking the kind of dirty tracking; empty for the best that this KVM offers
 */
public record MachineSpec(int vcpus, boolean interruptChip, Optional<DirtyTracking> tracking) {
    /** Refuses a VM without vCPUs. */
    public MachineSpec {
        Objects.requireNonNull(tracking);
        if (vcpus < 1) {
            throw new IllegalArgumentException("a VM has at least one vCPU, not " + vcpus);
        }
    }

    /** Describes a VM without interrupt controllers, tracked in the best way. */
    public static MachineSpec ofVcpus(int vcpus) {
        return new MachineSpec(vcpus, false, Optional.empty());
    }

    /**
     * Describes the VM whose state was saved, tracked in the best way.
     *
     * @throws io.microsnap.core.DamagedException if this is not the state of a KVM guest
     */
    public static MachineSpec of(List<MachineStateSection> state) throws IOException {
        return of(MachineState.of(state));
    }

    static MachineSpec of(MachineState state) {
        return new MachineSpec(state.vcpuCount(), state.hasInterruptChip(), Optional.empty());
    }

    /** Returns the same with KVM's interrupt controllers and timer. */
    public MachineSpec withInterruptChip() {
        return new MachineSpec(vcpus, true, tracking);
    }

    /** Returns the same, tracked in this way. */
    public MachineSpec withTracking(DirtyTracking wanted) {
        return new MachineSpec(vcpus, interruptChip, Optional.of(wanted));
    }
}
