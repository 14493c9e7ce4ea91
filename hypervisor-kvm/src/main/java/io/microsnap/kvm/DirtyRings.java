package io.microsnap.kvm;

import io.microsnap.core.SnapshotException;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Numbers;
import io.microsnap.kvm.internal.abi.Request;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;

/**
 * The dirty rings of a VM's vCPUs: each a list that KVM appends to, in memory shared with it. A harvest takes entries
 * out, or a vCPU whose ring is full, whichever comes first; this object keeps the vCPU's entries for the harvest.
 */
final class DirtyRings implements AutoCloseable {
    /** As many as KVM allows: 1 MiB a vCPU, for fewer exits with a full ring. */
    static final int DEFAULT_ENTRIES = 65_536;

    /**
     * KVM stops a vCPU well before its ring is full: this many entries stay free. A KVM that emulates many instructions
     * at a time has been seen to continue and overwrite unread entries; its ring is lost from then on.
     */
    private static final int NEVER_USED = 32;

    private final KvmDescriptor vm;
    private final MemorySlots slots;
    private final int pageBytes;
    private final DirtyBitmap waiting;
    private boolean anyWaiting;
    /** Whether the rings alone hold everything for a harvest: no entries were put aside, and nothing failed. */
    private volatile boolean settled;
    private final Arena arena = Arena.ofShared();
    private volatile Reading[] readings = {};
    /** Image offset and number of pages by slot number; zero pages for a missing slot. */
    private long[] imageOffsets = new long[0];
    private long[] pageCounts = new long[0];
    private long changesSeen = -1;
    /** Why a harvest would be incomplete, or null. */
    private String strayed;
    private boolean ranOver;
    private boolean closed;

    DirtyRings(KvmDescriptor vm, MemorySlots slots) {
        this.vm = vm;
        this.slots = slots;
        pageBytes = slots.memory().layout().pageBytes();
        waiting = DirtyBitmap.of(slots.memory().layout());
    }

    /** Switches a new VM to rings of this many entries, and returns how many bytes each of them takes. */
    static int enable(KvmDescriptor vm, int entries) throws IOException {
        // This class uses acquire and release; KVM offers the older capability only where that makes no difference.
        Capability capability = vm.capability(Capability.KVM_CAP_DIRTY_LOG_RING_ACQ_REL) != 0
                ? Capability.KVM_CAP_DIRTY_LOG_RING_ACQ_REL : Capability.KVM_CAP_DIRTY_LOG_RING;
        int limit = vm.capability(capability);
        if (limit == 0) {
            throw VirtualMachine.lacks(DirtyTracking.RING, capability);
        }
        if (Integer.bitCount(entries) != 1 || entries * DirtyRing.ENTRY_BYTES > limit
                || entries * DirtyRing.ENTRY_BYTES < vm.posix().getpagesize()) {
            throw new IllegalArgumentException("a dirty ring of " + entries + " entries; KVM takes a power of two from "
                    + vm.posix().getpagesize() / DirtyRing.ENTRY_BYTES + " to " + limit / DirtyRing.ENTRY_BYTES);
        }
        int bytes = (int) (entries * DirtyRing.ENTRY_BYTES);
        VirtualMachine.enable(vm, capability, bytes);
        return bytes;
    }

    synchronized void add(Vcpu vcpu, int ringBytes) throws IOException {
        long offset = (long) Numbers.KVM_DIRTY_LOG_PAGE_OFFSET * vm.posix().getpagesize();
        DirtyRing ring = new DirtyRing(SharedWithKernel.map(vcpu.descriptor(), offset, ringBytes, arena));
        Reading[] more = Arrays.copyOf(readings, readings.length + 1);
        more[readings.length] = new Reading(ring);
        readings = more;
    }

    /**
     * Returns whether it is certain, without a lock, that a harvest begun now would find nothing. The order matters: a
     * thread that takes entries out first clears the flag. So a reader that misses the entries sees the cleared flag.
     *
     * <p>Kept small so that the compiler inlines it: a harvest of an empty ring does little more than this.
     */
    boolean areKnownToBeEmpty() {
        Reading[] all = readings;
        int left = all.length;
        while (left > 0) {
            if (all[--left].hasMore()) {
                return false;
            }
        }
        return settled;
    }

    /** Takes out everything, also entries put aside from a full ring. */
    synchronized void takeInto(DirtyBitmap target) throws IOException {
        takeOut(target);
        if (strayed != null) {
            throw new SnapshotException(strayed);
        }
        if (anyWaiting) {
            anyWaiting = false;
            waiting.drainInto(target);
        }
        settled = true;
    }

    /** Takes out everything and discards it. */
    synchronized void forget() throws IOException {
        takeOut(waiting);
        discardWaiting();
    }

    /** Discards everything, if the rings are still open. A ring that overflowed fails the next arming, not this. */
    synchronized void letGo() throws IOException {
        if (!closed && !ranOver) {
            read(waiting);
            discardWaiting();
        }
    }

    private void discardWaiting() {
        waiting.clear();
        anyWaiting = false;
        strayed = null;
    }

    /** Takes out everything and puts it aside for the next harvest. */
    synchronized void makeRoom() throws IOException {
        anyWaiting = true;
        takeOut(waiting);
    }

    private void takeOut(DirtyBitmap target) throws IOException {
        read(target);
        if (ranOver) {
            throw new SnapshotException("a dirty ring of " + vm.name() + " overflowed: this kernel's KVM did not stop"
                    + " the vCPU in time, and the ring is lost. Run this guest with larger rings, or with "
                    + DirtyTracking.MANUAL_CLEAR);
        }
    }

    private void read(DirtyBitmap target) throws IOException {
        settled = false;
        if (closed) {
            throw new IllegalStateException("the dirty rings of " + vm.name() + " are closed");
        }
        learnSlots();
        boolean any = false;
        for (Reading reading : readings) {
            any |= reading.takeOut(target);
        }
        if (any && !ranOver) {
            vm.call(Request.KVM_RESET_DIRTY_RINGS, 0);
        }
    }

    private void learnSlots() {
        long changes = slots.changes();
        if (changes != changesSeen) {
            List<MemorySlots.Placed> all = slots.all();
            int count = all.getLast().slot().number() + 1;
            imageOffsets = new long[count];
            pageCounts = new long[count];
            for (MemorySlots.Placed placed : all) {
                imageOffsets[placed.slot().number()] = placed.imageOffset();
                pageCounts[placed.slot().number()] = placed.pages(pageBytes);
            }
            changesSeen = changes;
        }
    }

    /** Notes an entry that cannot be placed. The vCPU that needs room must continue; the next harvest fails instead. */
    private void stray(int slot, long page) {
        strayed = "a dirty ring of " + vm.name() + " names page " + Long.toUnsignedString(page) + " of slot " + slot
                + ", which is not there: it was removed while it was watched";
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            arena.close();
        }
    }

    /** One vCPU's ring, and the number of the next entry to read. */
    private final class Reading {
        private final DirtyRing ring;
        private volatile long next;

        Reading(DirtyRing ring) {
            this.ring = ring;
        }

        boolean hasMore() {
            return ring.isDirty(next);
        }

        /** Takes entries out. The caller holds the lock under which the ring is unmapped. */
        boolean takeOut(DirtyBitmap target) {
            // Kept in locals: because of the acquire, fields would be read again for each entry.
            long[] offsets = imageOffsets;
            long[] counts = pageCounts;
            long start = next;
            long number = start;
            try {
                for (long head = ring.head(number); DirtyRing.isDirtyHead(head); head = ring.head(number)) {
                    int slot = DirtyRing.slot(head);
                    long page = ring.page(number);
                    if (slot < counts.length && Long.compareUnsigned(page, counts[slot]) < 0) {
                        target.set(offsets[slot] + page * pageBytes);
                    } else {
                        stray(slot, page);
                    }
                    ring.giveBack(number);
                    number++;
                }
            } finally {
                // Entries that were given back must not be read again, whatever happened: the ring would seem empty.
                ranOver |= number - start > ring.size() - NEVER_USED;
                next = number;
            }
            return number != start;
        }
    }
}
