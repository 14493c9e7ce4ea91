package io.microsnap.dirty;

import io.microsnap.core.GuestMemory;
import io.microsnap.core.MachineStateSection;
import java.io.IOException;
import java.util.List;

/**
 * Gives a hypervisor module the result of a restore, so that it can make a guest that continues from there. Restore
 * implements it; hypervisor modules need not know how snapshots are stored.
 */
public interface RestoredMachine {
    /** Returns the guest's memory, for the hypervisor to register. Closing the restored machine closes it. */
    GuestMemory memory();

    /** Returns the machine's state beside its memory, in the order it was saved; none where none was saved. */
    List<MachineStateSection> machineState() throws IOException;

    /**
     * Returns a tracker whose first epoch is relative to the restored snapshot. Call this once, before the machine
     * runs. The caller closes the tracker before the restored machine.
     *
     * @param sources the sources that see the machine's writes, such as the hypervisor's dirty log; the tracker owns
     * them
     */
    DirtyTracker tracker(DirtySource... sources) throws IOException;
}
