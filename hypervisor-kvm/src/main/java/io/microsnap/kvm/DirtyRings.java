package io.microsnap.kvm;

import io.microsnap.core.SnapshotException;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.kvm.abi.Capability;
import io.microsnap.kvm.abi.Numbers;
import io.microsnap.kvm.abi.Request;
import io.microsnap.kvm.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The dirty rings of a VM's vCPUs: each a list that KVM appends to, in memory shared with it. Entries are taken out by
 * whoever comes first, a harvest or a vCPU whose ring is full; what the latter takes waits here for the harvest.
 */
final class DirtyRings implements AutoCloseable {
    /** As many as KVM allows: 1 MiB a vCPU, for fewer exits with a full ring. */
    static final int DEFAULT_ENTRIES = 65_536;

    private static final long ENTRY_BYTES = Structs.KVM_DIRTY_GFN.byteSize();
    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();
    private static final VarHandle LONG = ValueLayout.JAVA_LONG.varHandle();
    /** An entry begins with its flags, in the lower half of a word, and its slot, in the upper one. */
    private static final int SLOT_SHIFT = Integer.SIZE;
    private static final long PAGE = 8;
    /** The upper half of a slot number is the address space: system management mode has one of its own. */
    private static final int SLOT_MASK = 0xffff;
    private static final long NOWHERE = -1;
    /**
     * KVM stops a vCPU well before its ring is full: so many entries stay free. A KVM that emulates many instructions
     * at a time has been seen to go on and overwrite entries that nobody had read; its ring is lost from then on.
     */
    private static final int NEVER_USED = 32;

    private final KvmDescriptor vm;
    private final MemorySlots slots;
    private final int pageBytes;
    private final DirtyBitmap waiting;
    private boolean anyWaiting;
    /** Whether a harvest would find what is in the rings now, and nothing else: nothing waits, nothing went wrong. */
    private volatile boolean settled;
    private final Arena arena = Arena.ofShared();
    private volatile List<Ring> rings = List.of();
    /** By slot number: where in the image it lies, and how long it is. */
    private long[] imageOffsets = new long[0];
    private long[] lengths = new long[0];
    private long changesSeen = NOWHERE;
    /** Why a harvest cannot know everything, or null. */
    private String strayed;
    private boolean ranOver;
    private boolean closed;

    DirtyRings(KvmDescriptor vm, MemorySlots slots) {
        this.vm = vm;
        this.slots = slots;
        pageBytes = slots.memory().layout().pageBytes();
        waiting = DirtyBitmap.of(slots.memory().layout());
    }

    /** Switches a new VM to rings of so many entries, and returns how many bytes each of them takes. */
    static int enable(KvmDescriptor vm, int entries) throws IOException {
        // Acquire and release is what we do; KVM offers the older one only where that makes no difference.
        Capability capability = vm.capability(Capability.KVM_CAP_DIRTY_LOG_RING_ACQ_REL) != 0
                ? Capability.KVM_CAP_DIRTY_LOG_RING_ACQ_REL : Capability.KVM_CAP_DIRTY_LOG_RING;
        int limit = vm.capability(capability);
        if (limit == 0) {
            throw VirtualMachine.lacks(DirtyTracking.RING, capability);
        }
        if (Integer.bitCount(entries) != 1 || entries * ENTRY_BYTES > limit
                || entries * ENTRY_BYTES < vm.posix().getpagesize()) {
            throw new IllegalArgumentException("a dirty ring of " + entries + " entries; KVM takes a power of two from "
                    + vm.posix().getpagesize() / ENTRY_BYTES + " to " + limit / ENTRY_BYTES);
        }
        int bytes = (int) (entries * ENTRY_BYTES);
        VirtualMachine.enable(vm, capability, bytes);
        return bytes;
    }

    synchronized void add(Vcpu vcpu, int ringBytes) throws IOException {
        long offset = (long) Numbers.KVM_DIRTY_LOG_PAGE_OFFSET * vm.posix().getpagesize();
        List<Ring> more = new ArrayList<>(rings);
        more.add(new Ring(SharedWithKernel.map(vcpu.descriptor(), offset, ringBytes, arena)));
        rings = List.copyOf(more);
    }

    /**
     * Whether it is certain, without a lock, that a harvest begun now would find nothing. The order matters: whoever
     * takes entries out says first that nothing is settled, so that what is seen to be gone is seen to be unsettled.
     */
    boolean areKnownToBeEmpty() {
        for (Ring ring : rings) {
            if (ring.hasMore()) {
                return false;
            }
        }
        return settled;
    }

    /** Takes out everything; what a full ring had put aside, too. */
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

    /** Takes out everything and forgets it. */
    synchronized void forget() throws IOException {
        takeOut(waiting);
        waiting.clear();
        anyWaiting = false;
        strayed = null;
    }

    /** Forgets everything where there is still something to forget. */
    synchronized void letGo() throws IOException {
        if (!closed && !ranOver) {
            forget();
        }
    }

    /** Takes out everything and puts it aside for the next harvest. */
    synchronized void makeRoom() throws IOException {
        anyWaiting = true;
        takeOut(waiting);
    }

    private void takeOut(DirtyBitmap target) throws IOException {
        settled = false;
        if (closed) {
            throw new IllegalStateException("the dirty rings of " + vm.name() + " are closed");
        }
        learnSlots();
        boolean any = false;
        for (Ring ring : rings) {
            any |= ring.takeOut(target);
        }
        if (ranOver) {
            throw new SnapshotException("a dirty ring of " + vm.name() + " ran over: this kernel's KVM did not stop the"
                    + " vCPU in time, and the ring is of no more use. Run this guest with larger rings, or with "
                    + DirtyTracking.MANUAL_CLEAR);
        }
        if (any) {
            vm.call(Request.KVM_RESET_DIRTY_RINGS, 0);
        }
    }

    private void learnSlots() {
        long changes = slots.changes();
        if (changes != changesSeen) {
            List<MemorySlots.Placed> all = slots.all();
            int count = all.getLast().slot().number() + 1;
            imageOffsets = new long[count];
            lengths = new long[count];
            Arrays.fill(imageOffsets, NOWHERE);
            for (MemorySlots.Placed placed : all) {
                imageOffsets[placed.slot().number()] = placed.imageOffset();
                lengths[placed.slot().number()] = placed.slot().guest().lengthBytes();
            }
            changesSeen = changes;
        }
    }

    private void mark(int slot, long page, DirtyBitmap target) {
        long offset = page * pageBytes;
        if (slot < imageOffsets.length && imageOffsets[slot] != NOWHERE && offset >= 0 && offset < lengths[slot]) {
            target.set(imageOffsets[slot] + offset);
        } else {
            // The vCPU that needs room must go on; it is the next harvest that cannot tell any more.
            strayed = "a dirty ring of " + vm.name() + " names page " + page + " of slot " + slot
                    + ", which is not there: it was removed while it was watched";
        }
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            arena.close();
        }
    }

    /** One vCPU's ring, and how far it was read. */
    private final class Ring {
        private final MemorySegment entries;
        private final long mask;
        private volatile long next;

        Ring(MemorySegment entries) {
            this.entries = entries;
            mask = entries.byteSize() / ENTRY_BYTES - 1;
        }

        boolean hasMore() {
            return isDirty(head(next));
        }

        /** Acquire: the rest of the entry was written before its flags. */
        private long head(long number) {
            return (long) LONG.getAcquire(entries, (number & mask) * ENTRY_BYTES);
        }

        boolean takeOut(DirtyBitmap target) {
            long start = next;
            long number = start;
            try {
                for (long head = head(number); isDirty(head); head = head(number)) {
                    long entry = (number & mask) * ENTRY_BYTES;
                    mark((int) (head >>> SLOT_SHIFT) & SLOT_MASK, entries.get(ValueLayout.JAVA_LONG, entry + PAGE),
                            target);
                    // Release: the entry was read before KVM may have it back.
                    INT.setRelease(entries, entry, Numbers.KVM_DIRTY_GFN_F_RESET);
                    number++;
                }
            } finally {
                // What was given back must not be looked at again, whatever happened: the ring would seem empty.
                ranOver |= number - start > mask + 1 - NEVER_USED;
                next = number;
            }
            return number != start;
        }

        private static boolean isDirty(long head) {
            return (head & Numbers.KVM_DIRTY_GFN_F_DIRTY) != 0;
        }
    }
}
