package io.microsnap.kvm;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Memory that a VMM in this process has mapped and registered. Closing it makes its segments unusable; the VMM keeps
 * its mappings. Memory that no slot shows any longer may be unmapped at any moment, so it is no longer handed out.
 */
final class AttachedMemory implements GuestMemory {
    private final Posix posix;
    private final GuestLayout layout;
    private final List<MemorySlot> regions;
    private final List<MemorySegment> mappings;
    private final Arena arena;
    private volatile Optional<String> lost = Optional.empty();

    private AttachedMemory(Posix posix, GuestLayout layout, List<MemorySlot> regions, List<MemorySegment> mappings,
            Arena arena) {
        this.posix = posix;
        this.layout = layout;
        this.regions = regions;
        this.mappings = mappings;
        this.arena = arena;
    }

    /**
     * Makes each slot a region, except slots whose memory lies wholly in another slot's: they are aliases. Of two slots
     * with the same memory, the first named is the region.
     */
    static AttachedMemory behind(Posix posix, List<MemorySlot> slots) {
        int pageBytes = posix.getpagesize();
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
        return new AttachedMemory(posix, layout, List.copyOf(regions), mappings, arena);
    }

    /** Returns where the memory behind a slot lies in the image. */
    long imageOffset(MemorySlot slot) {
        checkAligned(slot, layout.pageBytes());
        MemorySlot region = holder(regions, slot);
        if (region == null) {
            throw new IllegalArgumentException(slot + " shows memory that was not attached; attach again");
        }
        return layout.imageOffset(regions.indexOf(region)) + (slot.hostAddress() - region.hostAddress());
    }

    /** Notes the VMM's slots: a region that they do not show completely is lost until they show it again. */
    void shownBy(List<MemorySlot> slots) {
        List<MemorySlot> ascending = new ArrayList<>(slots);
        ascending.sort(Comparator.comparing(MemorySlot::hostAddress));
        for (MemorySlot region : regions) {
            long shownTo = region.hostAddress();
            for (MemorySlot slot : ascending) {
                if (slot.hostAddress() <= shownTo) {
                    shownTo = Math.max(shownTo, slot.hostEnd());
                }
            }
            if (shownTo < region.hostEnd()) {
                lost("the VMM removed a slot, so that no slot shows all of " + region);
                return;
            }
        }
        lost = Optional.empty();
    }

    /** Notes that the VMM's slots are unknown. */
    void lost(String why) {
        lost = Optional.of(why + "; that memory may be unmapped and cannot be captured: attach again");
    }

    private static MemorySlot holder(List<MemorySlot> regions, MemorySlot slot) {
        for (MemorySlot region : regions) {
            if (slot.hostAddress() >= region.hostAddress() && slot.hostEnd() <= region.hostEnd()) {
                return region;
            }
            if (slot.hostAddress() < region.hostEnd() && region.hostAddress() < slot.hostEnd()) {
                throw new IllegalArgumentException(slot + " and " + region + " overlap in memory, and neither"
                        + " contains the other; name slots that are separate, or aliases of one another");
            }
        }
        return null;
    }

    private static void checkAligned(MemorySlot slot, int pageBytes) {
        Region guest = slot.guest();
        if (guest.guestAddress() % pageBytes != 0 || guest.lengthBytes() % pageBytes != 0
                || slot.hostAddress() % pageBytes != 0 || slot.hostAddress() <= 0) {
            throw new IllegalArgumentException(
                    slot + " does not start and end on pages of " + pageBytes + " bytes, as KVM requires");
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
        lost.ifPresent(why -> {
            throw new IllegalStateException(why);
        });
        return mappings.get(region);
    }

    @Override
    public void requireMapped() throws IOException {
        if (lost.isPresent()) {
            throw new SnapshotException(lost.get());
        }
        if (!arena.scope().isAlive()) {
            throw new IllegalStateException("the VM is no longer attached");
        }
        for (MemorySlot region : regions) {
            int result = posix.msync(
                    region.hostAddress(), region.guest().lengthBytes(), posix.constants().MS_ASYNC);
            if (posix.constants().failedWith(result, Errno.ENOMEM)) {
                throw new SnapshotException("the memory behind " + region + " is no longer mapped: its VMM unmapped"
                        + " it without calling slotsChanged; attach again");
            }
            if (result < 0) {
                throw SystemCallException.of(posix, result, "msync", "guest memory", "of " + region);
            }
        }
    }

    /** Returns an empty hold: the VMM keeps its memory mapped. */
    @Override
    public Hold hold() {
        return Hold.NOTHING;
    }

    @Override
    public OptionalInt memfd() {
        return OptionalInt.empty();
    }

    /** Returns true, because the VMM may have mapped a file. */
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
