package io.microsnap.store.internal;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.work.Closing;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.BitSet;

/**
 * A base's page index together with the changes in a copy of it. Setting an entry first copies its line of 64 entries
 * from the base; nothing else is read, kept, checksummed or written, so that a thousand scattered changes cost a
 * thousand lines and not a thousand chunks.
 *
 * <p>A chunk's checksum follows from those of its changed lines: CRC32C is linear, so what a line adds to the checksum
 * of its chunk depends on the line and its place alone.
 */
final class ChangedEntries implements IndexEntries {
    private static final int LINE_BYTES = 256;
    private static final int PAGES_IN_LINE = LINE_BYTES / Integer.BYTES;
    private static final int LINES_IN_CHUNK = EntryTable.CHUNK_BYTES / LINE_BYTES;
    /** Writing this many unchanged lines between two changed ones is cheaper than another system call. */
    private static final int BRIDGED_LINES = 4;
    private static final int BUFFER_LINES = 256;
    /**
     * The number of lines that a pause of some milliseconds changes; in a longer pause the time to allocate more does
     * not matter.
     */
    private static final long LINES_TO_EXPECT = 4096;
    private static final VarHandle SLOT = ValueLayout.JAVA_INT.varHandle();

    private final IndexEntries base;
    private final EntryTable table;
    private final Mapping memory;
    /** For each line of the file one more than its slot here, or 0. */
    private final MemorySegment slots;
    /** For each slot the checksum of its line as the file has it. */
    private final MemorySegment checksumOfSlot;
    private final MemorySegment lines;
    private final MemorySegment buffer;
    private final int[] weights = Crc32cAlgebra.weights(LINE_BYTES, LINES_IN_CHUNK);
    private final int writtenLines;
    /** The lines that have a slot: several threads set entries, so slots are in no order. */
    private final BitSet changedLines;
    private int used;
    /** Whether an entry was set since the last write; a fresh copy needs no write. */
    private boolean changed;

    private ChangedEntries(IndexEntries base, Descriptor copy, boolean cloned) throws IOException {
        this.base = base;
        // A clone's blocks are not in memory yet, and a partial write would first read the rest of its block: write
        // whole chunks.
        writtenLines = cloned ? LINES_IN_CHUNK : 1;
        EntryTable.Form form = base.table().form();
        GuestLayout layout = base.table().layout();
        long tableBytes = EntryTable.bytes(form, layout);
        long lineCount = Math.multiplyExact(form.chunks(layout.pageCount()), (long) LINES_IN_CHUNK);
        long perLine = lineCount * Integer.BYTES;
        long bufferBytes = (long) BUFFER_LINES * LINE_BYTES;
        // Untouched parts take no memory.
        memory = Mapping.anonymous(copy.posix(), tableBytes + 2 * perLine + bufferBytes + lineCount * LINE_BYTES,
                HugePages.NONE);
        MemorySegment all = memory.segment();
        table = new EntryTable(form, layout, EntryTable.NO_SNAPSHOT, copy, all.asSlice(0, tableBytes));
        slots = all.asSlice(tableBytes, perLine);
        checksumOfSlot = all.asSlice(tableBytes + perLine, perLine);
        buffer = all.asSlice(tableBytes + 2 * perLine, bufferBytes);
        lines = all.asSlice(tableBytes + 2 * perLine + bufferBytes);
        changedLines = new BitSet(Math.toIntExact(lineCount));
    }

    /**
     * Opens a file that already holds a copy of the base's bytes. The base must stay open.
     *
     * @param cloned whether the copy shares the base's blocks
     */
    static ChangedEntries of(IndexEntries base, Descriptor copy, boolean cloned) throws IOException {
        ChangedEntries changed = new ChangedEntries(base, copy, cloned);
        return Closing.readyOrClosed(changed, () -> {
            changed.table.read();
            if (changed.table.root() != base.table().root()) {
                throw new DamagedException(copy + " is not a copy of " + base.table().file() + ": their roots differ");
            }
        });
    }

    @Override
    public EntryTable table() {
        return table;
    }

    @Override
    public int get(long page) throws IOException {
        int slot = slot(page / PAGES_IN_LINE);
        return slot < 0 ? base.get(page) : lines.get(EntryTable.INT, at(slot, page));
    }

    @Override
    public void copy(long firstPage, MemorySegment target) throws IOException {
        long end = firstPage + target.byteSize() / Integer.BYTES;
        for (long page = firstPage; page < end;) {
            long pieceEnd = Math.min(end, endOfLine(page));
            long bytes = (pieceEnd - page) * Integer.BYTES;
            long into = (page - firstPage) * Integer.BYTES;
            int slot = slot(page / PAGES_IN_LINE);
            if (slot < 0) {
                base.copy(page, target.asSlice(into, bytes));
            } else {
                MemorySegment.copy(lines, at(slot, page), target, into, bytes);
            }
            page = pieceEnd;
        }
    }

    @Override
    public boolean isClear(long firstPage, long count) throws IOException {
        long end = firstPage + count;
        for (long page = firstPage; page < end;) {
            long pieceEnd = Math.min(end, endOfLine(page));
            int slot = slot(page / PAGES_IN_LINE);
            boolean clear = slot < 0 ? base.isClear(page, pieceEnd - page)
                    : Pages.isZero(lines, at(slot, page), (pieceEnd - page) * Integer.BYTES);
            if (!clear) {
                return false;
            }
            page = pieceEnd;
        }
        return true;
    }

    @Override
    public void set(long page, int entry) throws IOException {
        lines.set(EntryTable.INT, at(slotToChange(page / PAGES_IN_LINE), page), entry);
    }

    @Override
    public void clear(long firstPage, long count) throws IOException {
        long end = firstPage + count;
        for (long page = firstPage; page < end;) {
            long pieceEnd = Math.min(end, endOfLine(page));
            if (!isClear(page, pieceEnd - page)) {
                lines.asSlice(at(slotToChange(page / PAGES_IN_LINE), page), (pieceEnd - page) * Integer.BYTES)
                        .fill((byte) 0);
            }
            page = pieceEnd;
        }
    }

    @Override
    public void load(long firstPage, long count) throws IOException {
        base.load(firstPage, count);
    }

    @Override
    public void populate(long firstPage, long count) throws IOException {
        long firstLine = firstPage / PAGES_IN_LINE;
        long endLine = Math.ceilDiv(firstPage + count, (long) PAGES_IN_LINE);
        long expected = Math.min(LINES_TO_EXPECT, endLine - firstLine);
        populate(slots, firstLine * Integer.BYTES, (endLine - firstLine) * Integer.BYTES);
        populate(checksumOfSlot, 0, expected * Integer.BYTES);
        populate(buffer, 0, buffer.byteSize());
        populate(lines, 0, expected * LINE_BYTES);
    }

    private void populate(MemorySegment part, long start, long lengthBytes) throws IOException {
        memory.populate(part.address() - memory.segment().address() + start, lengthBytes);
    }

    @Override
    public void verify() throws IOException {
        base.verify();
    }

    @Override
    public int finish() throws IOException {
        if (!changed) {
            return table.root();
        }
        for (int line = changedLines.nextSetBit(0); line >= 0;) {
            long first = (long) line - line % writtenLines;
            long end = first;
            while (line >= 0 && canFollow(first, end, line)) {
                for (; end <= line || end % writtenLines != 0; end++) {
                    copy(end * PAGES_IN_LINE, buffer.asSlice((end - first) * LINE_BYTES, LINE_BYTES));
                }
                updateChecksum(slot(line), line);
                line = changedLines.nextSetBit(line + 1);
            }
            table.file().writeFully(buffer.asSlice(0, (end - first) * LINE_BYTES),
                    table.entriesAt() + first * LINE_BYTES);
        }
        int root = table.write();
        changed = false;
        return root;
    }

    @Override
    public void close() throws IOException {
        memory.close();
    }

    /** Returns whether a line can be written together with the lines from first to end, or is one of them. */
    private boolean canFollow(long first, long end, long line) {
        return line - first < BUFFER_LINES && line - line % writtenLines <= end + BRIDGED_LINES;
    }

    private void updateChecksum(int slot, long line) {
        int checksum = Pages.crc32c(lines, (long) slot * LINE_BYTES, LINE_BYTES);
        int difference = checksum ^ checksumOfSlot.get(ValueLayout.JAVA_INT, (long) slot * Integer.BYTES);
        int weight = weights[(int) (line % LINES_IN_CHUNK)];
        table.flip(line / LINES_IN_CHUNK, Crc32cAlgebra.multiply(difference, weight));
        checksumOfSlot.set(ValueLayout.JAVA_INT, (long) slot * Integer.BYTES, checksum);
    }

    private static long endOfLine(long page) {
        return (page / PAGES_IN_LINE + 1) * PAGES_IN_LINE;
    }

    private static long at(int slot, long page) {
        return (long) slot * LINE_BYTES + page % PAGES_IN_LINE * Integer.BYTES;
    }

    private int slot(long line) {
        return (int) SLOT.getAcquire(slots, line * Integer.BYTES) - 1;
    }

    private int slotToChange(long line) throws IOException {
        if (!changed) {
            // Written only once: otherwise the threads that set entries would contend for its cache line.
            changed = true;
        }
        int slot = slot(line);
        return slot < 0 ? takeOver(line) : slot;
    }

    private synchronized int takeOver(long line) throws IOException {
        int slot = slot(line);
        if (slot >= 0) {
            return slot;
        }
        slot = used;
        long at = (long) slot * LINE_BYTES;
        base.copy(line * PAGES_IN_LINE, lines.asSlice(at, LINE_BYTES));
        checksumOfSlot.set(ValueLayout.JAVA_INT, (long) slot * Integer.BYTES, Pages.crc32c(lines, at, LINE_BYTES));
        changedLines.set((int) line);
        used++;
        SLOT.setRelease(slots, line * Integer.BYTES, used);
        return slot;
    }
}
