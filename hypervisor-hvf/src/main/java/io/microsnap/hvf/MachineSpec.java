package io.microsnap.hvf;

import io.microsnap.core.MachineStateSection;
import java.io.IOException;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * The parts of a VM beside its memory.
 *
 * @param vcpus how many vCPUs
 * @param granuleBytes the unit in which its memory is mapped and protected: 16 KiB, or 4 KiB from macOS 26 on
 * @param interruptController the addresses of the framework's interrupt controller, if the VM has it (macOS 15 and
 * later)
 */
public record MachineSpec(int vcpus, int granuleBytes, Optional<InterruptController> interruptController) {
    /** The unit that every Mac offers. */
    public static final int GRANULE_16_KIB = 16 << 10;
    /** The unit of other systems' guests. */
    public static final int GRANULE_4_KIB = 4 << 10;
    static final int MOST_VCPUS = 256;

    /** Refuses impossible numbers of vCPUs and granules. */
    public MachineSpec {
        Objects.requireNonNull(interruptController);
        if (vcpus < 1 || vcpus > MOST_VCPUS) {
            throw new IllegalArgumentException("a VM has 1 to " + MOST_VCPUS + " vCPUs, not " + vcpus);
        }
        if (granuleBytes != GRANULE_16_KIB && granuleBytes != GRANULE_4_KIB) {
            throw new IllegalArgumentException("a granule has 16384 or 4096 bytes, not " + granuleBytes);
        }
    }

    /**
     * Places the framework's interrupt controller.
     *
     * @param distributorAddress the guest address of its distributor
     * @param redistributorAddress the guest address of the first redistributor
     */
    public record InterruptController(long distributorAddress, long redistributorAddress) {
    }

    /** Describes a VM with 16 KiB granules and without the framework's interrupt controller. */
    public static MachineSpec ofVcpus(int vcpus) {
        return new MachineSpec(vcpus, GRANULE_16_KIB, Optional.empty());
    }

    /**
     * Describes the VM whose state was saved.
     *
     * @throws io.microsnap.core.DamagedException if this is not the whole state of a guest of Hypervisor.framework
     */
    public static MachineSpec of(List<MachineStateSection> state) throws IOException {
        return MachineState.of(state).spec();
    }

    /** Returns the same with another granule. */
    public MachineSpec withGranule(int bytes) {
        return new MachineSpec(vcpus, bytes, interruptController);
    }

    /** Returns the same with the framework's interrupt controller. */
    public MachineSpec withInterruptController(long distributorAddress, long redistributorAddress) {
        return new MachineSpec(vcpus, granuleBytes,
                Optional.of(new InterruptController(distributorAddress, redistributorAddress)));
    }
}
