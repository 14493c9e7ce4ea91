package io.microsnap.vmm.internal.cloud;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import io.microsnap.vmm.internal.wire.Json;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * The positions of guest memory's ranges in a file {@code memory-ranges}: one after another, in the order of the table,
 * which may differ from that of addresses.
 *
 * @param inFileOrder the ranges
 */
public record MemoryRanges(List<Range> inFileOrder) {
    private static final int MOST_RANGES = 1 << 16;

    /**
     * One of them.
     *
     * @param guestAddress its guest address
     * @param lengthBytes its length
     * @param fileOffset its offset in the file
     */
    public record Range(long guestAddress, long lengthBytes, long fileOffset) {
        long end() {
            return guestAddress + lengthBytes;
        }
    }

    /** Copies the list. */
    public MemoryRanges {
        inFileOrder = List.copyOf(inFileOrder);
    }

    /** Reads the table in a {@code state.json}. */
    public static MemoryRanges parse(String name, byte[] state) throws SnapshotException {
        String text = Json.parse(name, state).get("snapshots").get("memory-manager").get("snapshot_data").get("state")
                .text();
        String within = name + ", the memory manager's state";
        Json manager = Json.parse(within, text.getBytes(StandardCharsets.UTF_8));
        List<Json> table = manager.get("memory_ranges").get("data").list();
        if (table.size() > MOST_RANGES) {
            throw new SnapshotException(within + " has " + table.size() + " ranges; at most " + MOST_RANGES
                    + " are read");
        }
        List<Range> ranges = new ArrayList<>();
        long offset = 0;
        for (Json entry : table) {
            long address = entry.get("gpa").number();
            long length = entry.get("length").number();
            if (length == 0 || address + length < 0 || offset + length < 0) {
                throw new SnapshotException(within + " has a range of " + length + " bytes at " + address
                        + ", which cannot be");
            }
            ranges.add(new Range(address, length, offset));
            offset += length;
        }
        if (ranges.isEmpty()) {
            throw new SnapshotException(name + " has no memory in memory-ranges: all of the guest's RAM is in"
                    + " separate files (zones with file= and shared=on); bake those with --ram while the guest is"
                    + " paused");
        }
        return new MemoryRanges(ranges);
    }

    /** Returns the length of the file. */
    public long lengthBytes() {
        Range last = inFileOrder.getLast();
        return last.fileOffset + last.lengthBytes;
    }

    /** Returns the ranges in the order of guest addresses. */
    public List<Range> inAddressOrder() {
        List<Range> sorted = new ArrayList<>(inFileOrder);
        sorted.sort(Comparator.comparingLong(Range::guestAddress));
        return sorted;
    }

    /** Returns the guest's regions; ranges that touch are one. */
    public GuestLayout layout(int pageBytes) throws SnapshotException {
        List<Region> regions = new ArrayList<>();
        for (Range range : inAddressOrder()) {
            if (range.guestAddress % pageBytes != 0 || range.lengthBytes % pageBytes != 0) {
                throw new SnapshotException("the guest has a range of " + range.lengthBytes + " bytes at "
                        + range.guestAddress + ", which does not begin and end on pages of " + pageBytes);
            }
            if (!regions.isEmpty() && regions.getLast().end() > range.guestAddress) {
                throw new SnapshotException("the guest's ranges overlap at " + range.guestAddress);
            }
            if (!regions.isEmpty() && regions.getLast().end() == range.guestAddress) {
                Region last = regions.removeLast();
                regions.add(new Region(last.guestAddress(), last.lengthBytes() + range.lengthBytes));
            } else {
                regions.add(new Region(range.guestAddress, range.lengthBytes));
            }
        }
        return GuestLayout.of(pageBytes, regions);
    }

    /** Returns whether the file has guest memory in the order of addresses, like an image. */
    public boolean isInAddressOrder() {
        return inFileOrder.equals(inAddressOrder());
    }
}
