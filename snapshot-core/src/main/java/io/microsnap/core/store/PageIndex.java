package io.microsnap.core.store;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Progress;
import io.microsnap.core.file.FileCopy;
import io.microsnap.core.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/**
 * The CRC32C of every page of a composed guest, with a root that stands for all of them: how an image is verified,
 * bound to its base, and compared with its siblings without being read.
 *
 * <p>Entries live off-heap and nothing is allocated to read or set one. A chunk of 1,024 entries is read and checked
 * when first touched, and checksummed and written once, by {@link #finish}: what an index costs follows what changed.
 *
 * <p>Threads may read and set different pages at the same time; {@code finish} and {@code close} come after them. The
 * descriptors stay the caller's and must outlive the index.
 */
public final class PageIndex implements AutoCloseable {
    private static final int ENTRIES_IN_CHUNK = PageEntries.CHUNK_BYTES / Integer.BYTES;

    private final PageEntries entries;
    private final long pageCount;
    private final int zeroPage;
    private final int lastZeroPage;

    private PageIndex(PageEntries entries) {
        this.entries = entries;
        GuestLayout layout = entries.layout();
        pageCount = layout.pageCount();
        zeroPage = PageEntries.ofZeros(layout.pageBytes());
        int rest = (int) (layout.lengthBytes() % layout.pageBytes());
        lastZeroPage = rest == 0 ? zeroPage : PageEntries.ofZeros(rest);
    }

    /** In an empty file, the index of a guest whose pages are all zero. */
    public static PageIndex create(Descriptor file, GuestLayout layout) throws IOException {
        return new PageIndex(PageEntries.create(PageEntries.Form.INDEX, layout, file));
    }

    /**
     * In an empty file, a copy of the base's index that may be changed: its blocks are shared where the filesystem
     * can. The base must stay open.
     */
    public static PageIndex createFrom(PageIndex base, Descriptor file) throws IOException {
        FileCopy.fill(base.entries.file(), file, Progress.NONE);
        return changing(base, file);
    }

    /** In a file that is a copy of the base's index already, such as a clone of it. The base must stay open. */
    public static PageIndex changing(PageIndex base, Descriptor copy) throws IOException {
        return new PageIndex(PageEntries.change(base.entries, copy));
    }

    /** For reading. Refuses a file that is damaged or not of this layout with a {@code DamagedException}. */
    public static PageIndex open(Descriptor file, GuestLayout layout) throws IOException {
        return new PageIndex(PageEntries.open(PageEntries.Form.INDEX, layout, file));
    }

    static int rootOf(Descriptor file, GuestLayout layout) throws IOException {
        return PageEntries.rootOf(PageEntries.Form.INDEX, layout, file);
    }

    public GuestLayout layout() {
        return entries.layout();
    }

    /** The CRC32C of a page. A last partial page counts the bytes it has. */
    public int crc(long page) throws IOException {
        Objects.checkIndex(page, pageCount);
        entries.prepare(page / ENTRIES_IN_CHUNK);
        return entries.entries().get(PageEntries.INT, page * Integer.BYTES) ^ zero(page);
    }

    /** Whether a page has the checksum of zeros: true of another page only by collision. */
    public boolean isZero(long page) throws IOException {
        return crc(page) == zero(page);
    }

    /** The CRC32Cs of a run of pages, as ints in native order, as many as the target holds. */
    public void crcs(long firstPage, MemorySegment target) throws IOException {
        long count = prepareRun(firstPage, target);
        for (long index = 0; index < count; index++) {
            target.set(ValueLayout.JAVA_INT_UNALIGNED, index * Integer.BYTES,
                    entries.entries().get(PageEntries.INT, (firstPage + index) * Integer.BYTES)
                            ^ zero(firstPage + index));
        }
    }

    /** Records a page's CRC32C. */
    public void set(long page, int crc) throws IOException {
        Objects.checkIndex(page, pageCount);
        long chunk = page / ENTRIES_IN_CHUNK;
        entries.prepare(chunk);
        entries.entries().set(PageEntries.INT, page * Integer.BYTES, crc ^ zero(page));
        entries.changed(chunk);
    }

    /** Records the CRC32Cs of a run of pages: ints in native order. */
    public void set(long firstPage, MemorySegment crcs) throws IOException {
        long count = prepareRun(firstPage, crcs);
        for (long index = 0; index < count; index++) {
            entries.entries().set(PageEntries.INT, (firstPage + index) * Integer.BYTES,
                    crcs.get(ValueLayout.JAVA_INT_UNALIGNED, index * Integer.BYTES) ^ zero(firstPage + index));
        }
        changedRun(firstPage, count);
    }

    /** Records that a run of pages is zero. */
    public void setZero(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        prepareRun(firstPage, count);
        entries.entries().asSlice(firstPage * Integer.BYTES, count * Integer.BYTES).fill((byte) 0);
        changedRun(firstPage, count);
    }

    /** The CRC32C that a page has when it is zero. */
    public int zero(long page) {
        return page == pageCount - 1 ? lastZeroPage : zeroPage;
    }

    /** Reads what will be needed of the base's index ahead of time: before the guest is paused. */
    public void load(long firstPage, long count) throws IOException {
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        prepareRun(firstPage, count);
    }

    /** Reads and checks every entry that was not yet touched; a {@code DamagedException} names the place. */
    public void verify() throws IOException {
        entries.verify();
    }

    /** The root as of the last {@link #finish}, or as it was read. */
    public int root() {
        return entries.root();
    }

    /** Writes what was set since, and returns the new root. Nothing is synced: publication does that. */
    public int finish() throws IOException {
        return entries.finish();
    }

    /** Frees the entries; what was set after the last {@link #finish} is forgotten. */
    @Override
    public void close() throws IOException {
        entries.close();
    }

    private long prepareRun(long firstPage, MemorySegment crcs) throws IOException {
        if (crcs.byteSize() % Integer.BYTES != 0) {
            throw new IllegalArgumentException(crcs.byteSize() + " bytes hold no whole number of checksums");
        }
        long count = crcs.byteSize() / Integer.BYTES;
        Objects.checkFromIndexSize(firstPage, count, pageCount);
        prepareRun(firstPage, count);
        return count;
    }

    private void prepareRun(long firstPage, long count) throws IOException {
        entries.prepare(firstPage / ENTRIES_IN_CHUNK, Math.ceilDiv(firstPage + count, (long) ENTRIES_IN_CHUNK));
    }

    private void changedRun(long firstPage, long count) {
        long end = Math.ceilDiv(firstPage + count, (long) ENTRIES_IN_CHUNK);
        for (long chunk = firstPage / ENTRIES_IN_CHUNK; chunk < end; chunk++) {
            entries.changed(chunk);
        }
    }
}
