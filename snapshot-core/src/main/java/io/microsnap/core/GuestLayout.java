package io.microsnap.core;

import java.util.List;

/**
 * The ordered regions of a guest's memory and the page size in which it is stored. Laid end to end the regions form
 * the image: an <em>image offset</em> is a position in it.
 */
public final class GuestLayout {
    /** The smallest page any supported host uses. */
    public static final int SMALLEST_PAGE_BYTES = 4 << 10;
    /** The largest page any supported host uses. */
    public static final int LARGEST_PAGE_BYTES = 64 << 10;

    private final int pageBytes;
    private final List<Region> regions;
    private final long[] imageOffsets;
    private final long lengthBytes;

    private GuestLayout(int pageBytes, List<Region> regions, boolean mayEndMidPage) {
        if (Integer.bitCount(pageBytes) != 1 || pageBytes < SMALLEST_PAGE_BYTES || pageBytes > LARGEST_PAGE_BYTES) {
            throw new IllegalArgumentException("a page of " + pageBytes
                    + " bytes; a page is a power of two from " + SMALLEST_PAGE_BYTES + " to " + LARGEST_PAGE_BYTES);
        }
        if (regions.isEmpty()) {
            throw new IllegalArgumentException("a guest layout needs at least one region");
        }
        this.pageBytes = pageBytes;
        this.regions = List.copyOf(regions);
        imageOffsets = new long[regions.size()];
        long offset = 0;
        long previousEnd = 0;
        for (int index = 0; index < imageOffsets.length; index++) {
            Region region = regions.get(index);
            boolean last = index == imageOffsets.length - 1;
            if (region.guestAddress() % pageBytes != 0
                    || (region.lengthBytes() % pageBytes != 0 && !(last && mayEndMidPage))) {
                throw new IllegalArgumentException(
                        region + " does not start and end on pages of " + pageBytes + " bytes");
            }
            if (region.guestAddress() < previousEnd) {
                throw new IllegalArgumentException(region + " overlaps or precedes the region before it, which ends at "
                        + previousEnd);
            }
            imageOffsets[index] = offset;
            offset = Math.addExact(offset, region.lengthBytes());
            previousEnd = region.end();
        }
        lengthBytes = offset;
    }

    /** Makes a layout of regions in ascending order of guest address, each starting and ending on a page. */
    public static GuestLayout of(int pageBytes, List<Region> regions) {
        return new GuestLayout(pageBytes, regions, false);
    }

    /** Makes a layout of one region from guest address zero. */
    public static GuestLayout ofSingleRegion(int pageBytes, long lengthBytes) {
        return of(pageBytes, List.of(new Region(0, lengthBytes)));
    }

    /** As {@link #of}, for an image that another program wrote: its last region may end in the middle of a page. */
    public static GuestLayout ofImportedImage(int pageBytes, List<Region> regions) {
        return new GuestLayout(pageBytes, regions, true);
    }

    /** Returns the size of a page. */
    public int pageBytes() {
        return pageBytes;
    }

    /** Returns the regions in ascending order of guest address; the list does not change. */
    public List<Region> regions() {
        return regions;
    }

    /** Returns the length of the image: all regions together. */
    public long lengthBytes() {
        return lengthBytes;
    }

    /** Returns the number of pages in the image, a last partial page included. */
    public long pageCount() {
        return (lengthBytes + pageBytes - 1) / pageBytes;
    }

    /** Returns where in the image a region starts. */
    public long imageOffset(int region) {
        return imageOffsets[region];
    }

    /** Returns the region that holds an image offset. */
    public int regionAt(long imageOffset) {
        if (imageOffset < 0 || imageOffset >= lengthBytes) {
            throw new IndexOutOfBoundsException("image offset " + imageOffset + " of " + lengthBytes);
        }
        int low = 0;
        int high = imageOffsets.length - 1;
        while (low < high) {
            int middle = (low + high + 1) >>> 1;
            if (imageOffsets[middle] <= imageOffset) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        return low;
    }

    /** Returns the guest-physical address behind an image offset. */
    public long guestAddress(long imageOffset) {
        int region = regionAt(imageOffset);
        return regions.get(region).guestAddress() + (imageOffset - imageOffsets[region]);
    }

    /** Returns the image offset of a guest-physical address, or -1 where no region holds it. */
    public long imageOffsetOf(long guestAddress) {
        for (int index = 0; index < imageOffsets.length; index++) {
            Region region = regions.get(index);
            if (guestAddress >= region.guestAddress() && guestAddress < region.end()) {
                return imageOffsets[index] + (guestAddress - region.guestAddress());
            }
        }
        return -1;
    }

    /** Kept small so that the compiler inlines it: the hottest paths compare a layout with itself. */
    @Override
    public boolean equals(Object other) {
        return other == this || (other instanceof GuestLayout layout && isLike(layout));
    }

    private boolean isLike(GuestLayout other) {
        return pageBytes == other.pageBytes && regions.equals(other.regions);
    }

    @Override
    public int hashCode() {
        return 31 * regions.hashCode() + pageBytes;
    }

    @Override
    public String toString() {
        return regions + " in pages of " + pageBytes + " bytes";
    }
}
