package io.microsnap.machine;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.kvm.DirtyTracking;
import java.util.List;
import java.util.Optional;

/**
 * The parts of a {@link SmallMachine}.
 *
 * @param layout its memory; guest programs take the first MiB for themselves
 * @param vcpus how many processors, one at least
 * @param tracking the kind of dirty tracking; empty for the best
 * @param ringEntries how many pages a dirty ring holds, if there are rings: a power of two
 * @param interruptChip whether it has KVM's interrupt controllers and timer
 */
public record SmallMachineSpec(
        GuestLayout layout, int vcpus, Optional<DirtyTracking> tracking, int ringEntries, boolean interruptChip) {
    /** Where memory leaves a hole for devices, as on a PC. */
    private static final long HOLE = 3L << 30;
    private static final long ABOVE_THE_HOLE = 4L << 30;
    private static final int RING_ENTRIES = 65_536;

    public SmallMachineSpec {
        if (vcpus < 1 || vcpus > SmallMachine.MOST_VCPUS) {
            throw new IllegalArgumentException(
                    vcpus + " vCPUs; a small machine has 1 to " + SmallMachine.MOST_VCPUS);
        }
        if (layout.regions().getFirst().guestAddress() != 0
                || layout.regions().getFirst().lengthBytes() <= SmallMachine.PROGRAM_AREA_BYTES) {
            throw new IllegalArgumentException("the memory of a small machine begins at address 0 and has more than"
                    + " the " + (SmallMachine.PROGRAM_AREA_BYTES >> 20) + " MiB in which its programs live; " + layout);
        }
    }

    /** Describes one processor and this much memory; what does not fit below 3 GiB lies above 4 GiB. */
    public static SmallMachineSpec ofRam(long bytes) {
        GuestLayout layout = bytes <= HOLE
                ? GuestLayout.ofSingleRegion(Touch.PAGE_BYTES, bytes)
                : GuestLayout.of(Touch.PAGE_BYTES,
                        List.of(new Region(0, HOLE), new Region(ABOVE_THE_HOLE, bytes - HOLE)));
        return ofLayout(layout);
    }

    /** Describes one processor and this memory. */
    public static SmallMachineSpec ofLayout(GuestLayout layout) {
        return new SmallMachineSpec(layout, 1, Optional.empty(), RING_ENTRIES, false);
    }

    /** Returns the same with another number of processors. */
    public SmallMachineSpec withVcpus(int number) {
        return new SmallMachineSpec(layout, number, tracking, ringEntries, interruptChip);
    }

    /** Returns the same with another kind of dirty tracking. */
    public SmallMachineSpec withTracking(DirtyTracking wanted) {
        return new SmallMachineSpec(layout, vcpus, Optional.of(wanted), ringEntries, interruptChip);
    }

    /** Returns the same with dirty rings that hold this many pages. */
    public SmallMachineSpec withRings(int entries) {
        return new SmallMachineSpec(layout, vcpus, Optional.of(DirtyTracking.RING), entries, interruptChip);
    }

    /** Returns the same with KVM's interrupt controllers and timer. */
    public SmallMachineSpec withInterruptChip() {
        return new SmallMachineSpec(layout, vcpus, tracking, ringEntries, true);
    }
}
