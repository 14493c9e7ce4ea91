package io.microsnap.kvm;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.Region;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalInt;

/**
 * Memory that a VMM in this process has mapped and registered. Closing it makes its segments unusable and leaves the
 * mappings alone: they are the VMM's.
 */
final class AttachedMemory implements GuestMemory {
    private final GuestLayout layout;
    private final List<MemorySlot> regions;
    private final List<MemorySegment> mappings;
    private final Arena arena;

    private AttachedMemory(GuestLayout layout, List<MemorySlot> regions, List<MemorySegment> mappings, Arena arena) {
        this.layout = layout;
        this.regions = regions;
        this.mappings = mappings;
        this.arena = arena;
    }

    /**
     * Each slot is a region, save those whose memory another slot shows whole: they are aliases of a part of it. Of
     * two that show the same the one that is named first is the region.
     */
    static AttachedMemory behind(List<MemorySlot> slots, int pageBytes) {
        if (slots.isEmpty()) {
            throw new IllegalArgumentException("name at least one memory slot of the VM");
        }
        List<MemorySlot> largestFirst = new ArrayList<>(slots);
        largestFirst.sort(Comparator.comparing(slot -> -slot.guest().lengthBytes()));
        List<MemorySlot> regions = new ArrayList<>();
        for (MemorySlot slot : largestFirst) {
            checkAligned(slot, pageBytes);
            if (holder(regions, slot) == null) {
                regions.add(slot);
            }
        }
        regions.sort(Comparator.comparing(slot -> slot.guest().guestAddress()));
        GuestLayout layout = GuestLayout.of(pageBytes, regions.stream().map(MemorySlot::guest).toList());
        Arena arena = Arena.ofShared();
        List<MemorySegment> mappings = regions.stream().map(slot -> view(slot, arena)).toList();
        return new AttachedMemory(layout, List.copyOf(regions), mappings, arena);
    }

    /** Where the memory behind a slot lies in the image. */
    long imageOffset(MemorySlot slot) {
        checkAligned(slot, layout.pageBytes());
        MemorySlot region = holder(regions, slot);
        if (region == null) {
            throw new IllegalArgumentException(slot + " shows memory that was not attached to; attach anew");
        }
        return layout.imageOffset(regions.indexOf(region)) + (slot.hostAddress() - region.hostAddress());
    }

    private static MemorySlot holder(List<MemorySlot> regions, MemorySlot slot) {
        for (MemorySlot region : regions) {
            if (slot.hostAddress() >= region.hostAddress() && slot.hostEnd() <= region.hostEnd()) {
                return region;
            }
            if (slot.hostAddress() < region.hostEnd() && region.hostAddress() < slot.hostEnd()) {
                throw new IllegalArgumentException(slot + " and " + region + " share a part of their memory, and"
                        + " neither holds the other's whole; name slots that are apart, or aliases of one another");
            }
        }
        return null;
    }

    private static void checkAligned(MemorySlot slot, int pageBytes) {
        Region guest = slot.guest();
        if (guest.guestAddress() % pageBytes != 0 || guest.lengthBytes() % pageBytes != 0
                || slot.hostAddress() % pageBytes != 0 || slot.hostAddress() <= 0) {
            throw new IllegalArgumentException(
                    slot + " does not start and end on pages of " + pageBytes + " bytes, which KVM asks of a slot");
        }
    }

    @SuppressWarnings("restricted")
    private static MemorySegment view(MemorySlot slot, Arena arena) {
        return MemorySegment.ofAddress(slot.hostAddress()).reinterpret(slot.guest().lengthBytes(), arena, null);
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public MemorySegment mapping(int region) {
        return mappings.get(region);
    }

    @Override
    public OptionalInt memfd() {
        return OptionalInt.empty();
    }

    /** The VMM may have mapped a file. */
    @Override
    public boolean mayBeTruncated() {
        return true;
    }

    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
