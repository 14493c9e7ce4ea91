package io.microsnap.store.internal;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Closing;
import java.io.Closeable;
import java.io.IOException;
import java.util.UUID;

/**
 * Holds which pages restored guests touched in the last eight recordings, as eight bits for each page. It is a hint: it
 * is bound to one publication, checks itself, and decides only what is read ahead.
 *
 * <p>An opened map has been read whole, no longer needs its file, and may be read by many threads. One thread makes a
 * new one.
 */
public final class WorkingSetMap implements Closeable {
    /** The recordings that an entry has a bit for. */
    public static final int MOST_RECORDINGS = Byte.SIZE;

    private static final int WORD = Long.BYTES;
    private static final long WITHOUT_OLDEST = 0x7F7F_7F7F_7F7F_7F7FL;
    private static final long NEWEST = 0x0101_0101_0101_0101L;

    private final PageEntries entries;
    private final GuestLayout layout;
    private final long chunkCount;

    private WorkingSetMap(PageEntries entries) {
        this.entries = entries;
        layout = entries.table().layout();
        chunkCount = EntryTable.Form.WORKING_SET.chunks(layout.pageCount());
    }

    /** Makes an empty file a set without pages, of the publication with this uuid. */
    public static WorkingSetMap create(Descriptor file, GuestLayout layout, UUID snapshot) throws IOException {
        return new WorkingSetMap(PageEntries.create(EntryTable.Form.WORKING_SET, layout, snapshot, file));
    }

    /** Reads a set whole. Throws a {@code DamagedException} unless it is intact and of this publication. */
    public static WorkingSetMap open(Descriptor file, GuestLayout layout, UUID snapshot) throws IOException {
        PageEntries opened = PageEntries.open(EntryTable.Form.WORKING_SET, layout, snapshot, file);
        return Closing.readyOrClosed(new WorkingSetMap(opened), opened::loadAll);
    }

    public GuestLayout layout() {
        return layout;
    }

    /** Copies another set of the same guest. This one must be new. */
    void copy(WorkingSetMap other) throws IOException {
        addShifted(other, -1L, 0);
    }

    /** Copies the earlier recordings, and begins another recording. This one must be new. */
    void continueAfter(WorkingSetMap earlier) throws IOException {
        addShifted(earlier, WITHOUT_OLDEST, 1);
    }

    private void addShifted(WorkingSetMap other, long kept, int shift) throws IOException {
        if (!other.layout.equals(layout)) {
            throw new IllegalArgumentException("the working set of " + other.layout + " does not fit " + layout);
        }
        for (long chunk = 0; chunk < chunkCount; chunk++) {
            if (other.entries.isUntouchedZero(chunk)) {
                continue;
            }
            entries.prepare(chunk);
            long start = chunk * EntryTable.CHUNK_BYTES;
            for (long at = start; at < start + EntryTable.CHUNK_BYTES; at += WORD) {
                long word = other.word(at);
                if (word != 0) {
                    entries.entries().set(EntryTable.LONG, at, (word & kept) << shift);
                }
            }
            entries.changed(chunk);
        }
    }

    /** Records that the guest touched these pages, in the recording that is being added. */
    public void touched(long imageOffset, long lengthBytes) throws IOException {
        if (imageOffset < 0 || lengthBytes < 0 || lengthBytes > layout.lengthBytes() - imageOffset) {
            throw new IllegalArgumentException("offset " + imageOffset + " and length " + lengthBytes
                    + " are outside of " + layout);
        }
        long end = Math.ceilDiv(imageOffset + lengthBytes, (long) layout.pageBytes());
        for (long page = imageOffset / layout.pageBytes(); page < end;) {
            long chunk = page / EntryTable.CHUNK_BYTES;
            long chunkEnd = Math.min(end, (chunk + 1) * EntryTable.CHUNK_BYTES);
            entries.prepare(chunk);
            for (; page < chunkEnd; page++) {
                long word = page - page % WORD;
                long bit = 1L << (page % WORD * Byte.SIZE);
                entries.entries().set(EntryTable.LONG, word, word(word) | bit);
            }
            entries.changed(chunk);
        }
    }

    /** Names the pages in the set as ranges of image offsets, ascending, the last one clipped to the image. */
    public void runs(RangeConsumer ranges) throws IOException {
        long runStart = -1;
        for (long chunk = 0; chunk < chunkCount; chunk++) {
            long start = chunk * EntryTable.CHUNK_BYTES;
            boolean empty = entries.isUntouchedZero(chunk);
            for (long at = start; at < start + EntryTable.CHUNK_BYTES; at += WORD) {
                long members = empty ? 0 : members(word(at));
                if (members == (runStart < 0 ? 0 : NEWEST)) {
                    continue;
                }
                for (int index = 0; index < WORD; index++) {
                    boolean member = ((members >>> (index * Byte.SIZE)) & 1) != 0;
                    if (member && runStart < 0) {
                        runStart = at + index;
                    } else if (!member && runStart >= 0) {
                        accept(runStart, at + index, ranges);
                        runStart = -1;
                    }
                }
            }
        }
        if (runStart >= 0) {
            accept(runStart, layout.pageCount(), ranges);
        }
    }

    private void accept(long firstPage, long endPage, RangeConsumer ranges) throws IOException {
        long offset = firstPage * layout.pageBytes();
        ranges.accept(offset, Math.min(endPage * layout.pageBytes(), layout.lengthBytes()) - offset);
    }

    /** Returns how many pages are in the set. */
    public long pages() {
        long pages = 0;
        for (long chunk = 0; chunk < chunkCount; chunk++) {
            if (!entries.isUntouchedZero(chunk)) {
                long start = chunk * EntryTable.CHUNK_BYTES;
                for (long at = start; at < start + EntryTable.CHUNK_BYTES; at += WORD) {
                    pages += Long.bitCount(members(word(at)));
                }
            }
        }
        return pages;
    }

    /** Returns the number of recordings behind it, as far as its pages tell. */
    public int recordings() {
        long all = 0;
        for (long chunk = 0; chunk < chunkCount; chunk++) {
            if (!entries.isUntouchedZero(chunk)) {
                long start = chunk * EntryTable.CHUNK_BYTES;
                for (long at = start; at < start + EntryTable.CHUNK_BYTES; at += WORD) {
                    all |= word(at);
                }
            }
        }
        int recordings = 0;
        for (int recording = 0; recording < MOST_RECORDINGS; recording++) {
            if ((all & (NEWEST << recording)) != 0) {
                recordings = recording + 1;
            }
        }
        return recordings;
    }

    /** Writes the set. It syncs nothing. */
    void finish() throws IOException {
        entries.finish();
    }

    @Override
    public void close() throws IOException {
        entries.close();
    }

    private long word(long at) {
        return entries.entries().get(EntryTable.LONG, at);
    }

    /** Returns the lowest bit of each entry whose page is in the set: touched last time, or at least twice. */
    private static long members(long word) {
        if (word == 0) {
            return 0;
        }
        long once = 0;
        long twice = 0;
        for (int recording = 0; recording < MOST_RECORDINGS; recording++) {
            long touched = (word >>> recording) & NEWEST;
            twice |= (once & touched);
            once |= touched;
        }
        return (word & NEWEST) | twice;
    }
}
