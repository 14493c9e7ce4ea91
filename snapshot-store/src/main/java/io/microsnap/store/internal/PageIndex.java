package io.microsnap.store.internal;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Progress;
import io.microsnap.core.internal.file.FileCopy;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Objects;

/**
 * The CRC32C of every page of a composed guest, with a root that stands for all of them. With it an image is verified,
 * bound to its base, and compared with its siblings without reading them.
 *
 * <p>Entries live off-heap and nothing is allocated to read or set one. A chunk of 1,024 entries is read and checked
 * when first touched. {@link #finish} writes the changes, in lines of 64 entries if the index was copied from a base:
 * the cost is proportional to the changes.
 *
 * <p>Threads may read and set different pages at the same time; {@code finish} and {@code close} come after them. The
 * caller owns the descriptors and keeps them open longer than the index.
 */
public final class PageIndex implements Closeable {
    /** The number of pages whose checksums are read and checked together. */
    public static final int PAGES_IN_CHUNK = EntryTable.CHUNK_BYTES / Integer.BYTES;

    private static final ValueLayout.OfInt ENTRY = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final IndexEntries entries;
    private final long pageCount;
    private final int zeroPage;
    private final int lastZeroPage;

    private PageIndex(IndexEntries entries) {
        this.entries = entries;
        GuestLayout layout = entries.table().layout();
        pageCount = layout.pageCount();
        zeroPage = EntryTable.ofZeros(layout.pageBytes());
        int rest = (int) (layout.lengthBytes() % layout.pageBytes());
        lastZeroPage = rest == 0 ? zeroPage : EntryTable.ofZeros(rest);
    }

    /** Makes, in an empty file, the index of a guest whose pages are all zero. */
    public static PageIndex create(Descriptor file, GuestLayout layout) throws IOException {
        return new PageIndex(PageEntries.create(EntryTable.Form.INDEX, layout, file));
    }

    /**
     * Makes, in an empty file, a copy of the base's index for changing. It shares the base's blocks where the
     * filesystem can. The base must stay open.
     */
    public static PageIndex createFrom(PageIndex base, Descriptor file) throws IOException {
        Descriptor original = base.entries.table().file();
        boolean cloned = new Reflink().cloneContent(original, file).isCloned();
        if (!cloned) {
            FileCopy.fill(original, file, Progress.NONE);
        }
        return new PageIndex(ChangedEntries.of(base.entries, file, cloned));
    }

    /**
     * Opens an index for reading. Throws {@code DamagedException} if the file is damaged or belongs to another layout.
     */
    public static PageIndex open(Descriptor file, GuestLayout layout) throws IOException {
        return new PageIndex(PageEntries.open(EntryTable.Form.INDEX, layout, file));
    }

    static int rootOf(Descriptor file, GuestLayout layout) throws IOException {
        return PageEntries.rootOf(EntryTable.Form.INDEX, layout, file);
    }

    public GuestLayout layout() {
        return entries.table().layout();
    }

    /** Returns the CRC32C of a page. A last partial page counts the bytes it has. */
    public int crc(long page) throws IOException {
        return entries.get(Objects.checkIndex(page, pageCount)) ^ zero(page);
    }

    /** Returns whether a page has the checksum of zeros: true of another page only by collision. */
    public boolean isZero(long page) throws IOException {
        return crc(page) == zero(page);
    }

    /** Returns whether all pages of a run have the checksum of zeros. */
    public boolean isZero(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        return entries.isClear(firstPage, count);
    }

    /** Copies the CRC32Cs of a run of pages, as ints in native order, as many as the target holds. */
    public void crcs(long firstPage, MemorySegment target) throws IOException {
        long count = pagesOf(firstPage, target);
        entries.copy(firstPage, target);
        for (long index = 0; index < count; index++) {
            int entry = target.get(ENTRY, index * Integer.BYTES);
            target.set(ValueLayout.JAVA_INT_UNALIGNED, index * Integer.BYTES, entry ^ zero(firstPage + index));
        }
    }

    /** Records a page's CRC32C. */
    public void set(long page, int crc) throws IOException {
        entries.set(Objects.checkIndex(page, pageCount), crc ^ zero(page));
    }

    /** Records the CRC32Cs of a run of pages: ints in native order. */
    public void set(long firstPage, MemorySegment crcs) throws IOException {
        long count = pagesOf(firstPage, crcs);
        entries.load(firstPage, count);
        for (long index = 0; index < count; index++) {
            int crc = crcs.get(ValueLayout.JAVA_INT_UNALIGNED, index * Integer.BYTES);
            entries.set(firstPage + index, crc ^ zero(firstPage + index));
        }
    }

    /** Records that a run of pages is zero. */
    public void setZero(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        entries.clear(firstPage, count);
    }

    /**
     * Returns whether another index of the same layout has, as published, the same checksums for all pages of the chunk
     * that holds this page. It compares the chunks' checksums without reading the entries, so it is wrong only by
     * collision.
     */
    public boolean isSameChunk(PageIndex other, long page) {
        long chunk = Objects.checkIndex(page, pageCount) / PAGES_IN_CHUNK;
        return entries.table().checksum(chunk) == other.entries.table().checksum(chunk);
    }

    /** Returns the CRC32C that a page has when it is zero. */
    public int zero(long page) {
        return page == pageCount - 1 ? lastZeroPage : zeroPage;
    }

    /** Reads these entries of the base's index ahead of time. Call it before the pause. */
    public void load(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        entries.load(firstPage, count);
    }

    /** Allocates the memory that changing these pages' checksums needs. Call it before the pause. */
    public void populate(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        entries.populate(firstPage, count);
    }

    /** Reads and checks every entry that was not yet touched; a {@code DamagedException} names the place. */
    public void verify() throws IOException {
        entries.verify();
    }

    /** Returns the root as of the last {@link #finish}, or as it was read. */
    public int root() {
        return entries.table().root();
    }

    /** Writes the changes since the last call, and returns the new root. It syncs nothing: publication does that. */
    public int finish() throws IOException {
        return entries.finish();
    }

    /** Frees the entries and discards changes made after the last {@link #finish}. */
    @Override
    public void close() throws IOException {
        entries.close();
    }

    private long pagesOf(long firstPage, MemorySegment crcs) {
        if (crcs.byteSize() % Integer.BYTES != 0) {
            throw new IllegalArgumentException(crcs.byteSize() + " bytes are not a whole number of checksums");
        }
        long count = crcs.byteSize() / Integer.BYTES;
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        return count;
    }
}
