package io.microsnap.kvm;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dirty.SourceOwnership;
import io.microsnap.kvm.internal.abi.Capability;
import io.microsnap.kvm.internal.abi.Numbers;
import io.microsnap.kvm.internal.abi.Request;
import io.microsnap.kvm.internal.abi.Structs;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * The memory slots of one VM and their offsets in the image. Several slots may show the guest the same memory
 * (aliases): the image holds it once.
 */
final class MemorySlots {
    private static final VarHandle SLOT = Structs.member(Structs.KVM_USERSPACE_MEMORY_REGION, "slot");
    private static final VarHandle FLAGS = Structs.member(Structs.KVM_USERSPACE_MEMORY_REGION, "flags");
    private static final VarHandle GUEST = Structs.member(Structs.KVM_USERSPACE_MEMORY_REGION, "guest_phys_addr");
    private static final VarHandle LENGTH = Structs.member(Structs.KVM_USERSPACE_MEMORY_REGION, "memory_size");
    private static final VarHandle HOST = Structs.member(Structs.KVM_USERSPACE_MEMORY_REGION, "userspace_addr");

    private final KvmDescriptor vm;
    private final GuestMemory memory;
    private final SourceOwnership ownership = new SourceOwnership();
    private List<Placed> placed = List.of();
    private volatile long changes;

    /** A slot, and the image offset of its memory. */
    record Placed(MemorySlot slot, long imageOffset) {
        long pages(int pageBytes) {
            return slot.guest().lengthBytes() / pageBytes;
        }
    }

    private MemorySlots(KvmDescriptor vm, GuestMemory memory) {
        this.vm = vm;
        this.memory = memory;
    }

    /** Registers a slot for each region, numbered like the regions: all or none. */
    static MemorySlots register(KvmDescriptor vm, GuestMemory memory) throws IOException {
        MemorySlots slots = new MemorySlots(vm, memory);
        GuestLayout layout = memory.layout();
        try {
            for (int region = 0; region < layout.regions().size(); region++) {
                slots.add(layout.regions().get(region), layout.imageOffset(region));
            }
        } catch (Throwable failure) {
            Closing.closeAfter(failure, slots::removeAll);
            throw failure;
        }
        return slots;
    }

    /** Notes the slots that the owning VMM has registered; changes nothing. */
    static MemorySlots attached(KvmDescriptor vm, List<MemorySlot> slots) throws IOException {
        AttachedMemory memory = AttachedMemory.behind(vm.posix(), slots);
        MemorySlots attached = new MemorySlots(vm, memory);
        attached.replace(slots);
        return attached;
    }

    GuestMemory memory() {
        return memory;
    }

    /** Returns the ownership of the slots' logs. */
    SourceOwnership ownership() {
        return ownership;
    }

    /** Returns all slots in ascending order of their numbers. */
    synchronized List<Placed> all() {
        return placed;
    }

    /**
     * Returns a count that grows with each added, moved or removed slot: a source that watches all slots compares it.
     */
    long changes() {
        return changes;
    }

    /** Shows the guest a range of the image at one more address. */
    synchronized MemorySlot add(Region guest, long imageOffset) throws IOException {
        GuestLayout layout = memory.layout();
        int region = layout.regionAt(imageOffset);
        long inRegion = imageOffset - layout.imageOffset(region);
        checkAligned(guest, imageOffset);
        if (inRegion + guest.lengthBytes() > layout.regions().get(region).lengthBytes()) {
            throw new IllegalArgumentException("a slot of " + guest.lengthBytes() + " bytes from image offset "
                    + imageOffset + " reaches past the end of its region " + layout.regions().get(region));
        }
        int limit = vm.capability(Capability.KVM_CAP_NR_MEMSLOTS);
        if (placed.size() >= limit) {
            throw new SnapshotException(vm.name() + " has " + limit + " memory slots, the most that this KVM allows;"
                    + " use fewer and larger regions");
        }
        for (Placed other : placed) {
            checkApart(guest, other.slot());
        }
        MemorySlot slot = new MemorySlot(freeNumber(), guest,
                memory.mapping(region).address() + inRegion);
        set(slot, slot.flags(), slot.guest().lengthBytes());
        List<Placed> more = new ArrayList<>(placed);
        more.add(new Placed(slot, imageOffset));
        more.sort(Comparator.comparing(each -> each.slot().number()));
        placed = List.copyOf(more);
        changes++;
        return slot;
    }

    synchronized void remove(MemorySlot slot) throws IOException {
        List<Placed> fewer = new ArrayList<>(placed);
        if (!fewer.removeIf(each -> each.slot().equals(slot))) {
            throw new IllegalArgumentException(slot + " is not a slot of " + vm.name());
        }
        // KVM's way of removing one.
        set(slot, 0, 0);
        placed = List.copyOf(fewer);
        changes++;
    }

    /**
     * Notes the VMM's new slots; the memory behind them stays the same. If the new slots are invalid, the memory counts
     * as lost, because the VMM's slots are then unknown.
     */
    synchronized void replace(List<MemorySlot> slots) {
        if (!(memory instanceof AttachedMemory attached)) {
            throw new IllegalStateException(vm.name() + " is not attached; change its slots through this object");
        }
        changes++;
        try {
            placed = place(attached, slots);
            attached.shownBy(slots);
        } catch (IllegalArgumentException wrong) {
            attached.lost("the VMM's slots are not those that were attached: " + wrong.getMessage());
            throw wrong;
        }
    }

    private static List<Placed> place(AttachedMemory attached, List<MemorySlot> slots) {
        List<Placed> now = new ArrayList<>();
        for (MemorySlot slot : slots) {
            for (Placed other : now) {
                checkApart(slot.guest(), other.slot());
                if (other.slot().number() == slot.number()) {
                    throw new IllegalArgumentException(slot + " and " + other.slot() + " have the same number");
                }
            }
            now.add(new Placed(slot, attached.imageOffset(slot)));
        }
        now.sort(Comparator.comparing(each -> each.slot().number()));
        return List.copyOf(now);
    }

    /** Makes KVM log writes through a slot. */
    void log(MemorySlot slot) throws IOException {
        set(slot, slot.flags() | Numbers.KVM_MEM_LOG_DIRTY_PAGES, slot.guest().lengthBytes());
    }

    /** Registers a slot again as it was before {@link #log}. */
    void stopLogging(MemorySlot slot) throws IOException {
        set(slot, slot.flags(), slot.guest().lengthBytes());
    }

    private void set(MemorySlot slot, int flags, long lengthBytes) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment region = arena.allocate(Structs.KVM_USERSPACE_MEMORY_REGION);
            SLOT.set(region, slot.number());
            FLAGS.set(region, flags);
            GUEST.set(region, slot.guest().guestAddress());
            LENGTH.set(region, lengthBytes);
            HOST.set(region, slot.hostAddress());
            vm.call(Request.KVM_SET_USER_MEMORY_REGION, region, "of " + slot);
        }
    }

    /** Removes every slot, so that a process that still has the VM open cannot reach the memory. */
    synchronized void removeAll() throws IOException {
        IOException first = null;
        for (Placed each : placed) {
            try {
                set(each.slot(), 0, 0);
            } catch (IOException failure) {
                first = first == null ? failure : first;
            }
        }
        placed = List.of();
        changes++;
        if (first != null) {
            throw first;
        }
    }

    private int freeNumber() {
        int number = 0;
        for (Placed each : placed) {
            if (each.slot().number() != number) {
                break;
            }
            number++;
        }
        return number;
    }

    private void checkAligned(Region guest, long imageOffset) {
        int page = vm.posix().getpagesize();
        if (guest.guestAddress() % page != 0 || guest.lengthBytes() % page != 0 || imageOffset % page != 0) {
            throw new IllegalArgumentException(guest + " at image offset " + imageOffset
                    + " does not start and end on pages of " + page + " bytes, as KVM requires");
        }
    }

    private static void checkApart(Region guest, MemorySlot other) {
        if (guest.guestAddress() < other.guest().end() && other.guest().guestAddress() < guest.end()) {
            throw new IllegalArgumentException(guest + " overlaps " + other + " in the guest's address space");
        }
    }
}
