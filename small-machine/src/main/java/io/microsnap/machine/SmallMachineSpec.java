package io.microsnap.machine;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.kvm.DirtyTracking;
import java.util.List;
import java.util.Optional;

/**
 * What a {@link SmallMachine} is made of.
 *
 * @param layout its memory; guest programs take the first MiB for themselves
 * @param vcpus how many processors, one at least
 * @param tracking how KVM tells what they write; empty for the best there is
 * @param ringEntries how many pages a dirty ring holds, where there are rings: a power of two
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

    /** One processor and so much memory, of which what does not fit below 3 GiB lies above 4 GiB. */
    public static SmallMachineSpec ofRam(long bytes) {
        GuestLayout layout = bytes <= HOLE
                ? GuestLayout.ofSingleRegion(Touch.PAGE_BYTES, bytes)
                : GuestLayout.of(Touch.PAGE_BYTES,
                        List.of(new Region(0, HOLE), new Region(ABOVE_THE_HOLE, bytes - HOLE)));
        return ofLayout(layout);
    }

    /** One processor and that memory. */
    public static SmallMachineSpec ofLayout(GuestLayout layout) {
        return new SmallMachineSpec(layout, 1, Optional.empty(), RING_ENTRIES, false);
    }

    /** The same with another number of processors. */
    public SmallMachineSpec withVcpus(int number) {
        return new SmallMachineSpec(layout, number, tracking, ringEntries, interruptChip);
    }

    /** The same, with what its guest writes told in that way. */
    public SmallMachineSpec withTracking(DirtyTracking wanted) {
        return new SmallMachineSpec(layout, vcpus, Optional.of(wanted), ringEntries, interruptChip);
    }

    /** The same, with dirty rings that hold so many pages. */
    public SmallMachineSpec withRings(int entries) {
        return new SmallMachineSpec(layout, vcpus, Optional.of(DirtyTracking.RING), entries, interruptChip);
    }

    /** The same with KVM's interrupt controllers and timer. */
    public SmallMachineSpec withInterruptChip() {
        return new SmallMachineSpec(layout, vcpus, tracking, ringEntries, true);
    }
}
