package io.microsnap.store.internal;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.work.Closing;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.UUID;

/**
 * The entries of a page map or page index file, off-heap, in chunks. A chunk is read and checked when it is first
 * touched; a changed chunk is checksummed and written once.
 *
 * <p>Threads may touch different entries at the same time; {@link #finish} and {@link #close} must not run concurrently
 * with other calls.
 */
final class PageEntries implements IndexEntries {
    private static final int CHUNK_BYTES = EntryTable.CHUNK_BYTES;
    private static final int PAGES_IN_CHUNK = CHUNK_BYTES / Integer.BYTES;
    private static final VarHandle STATE = ValueLayout.JAVA_BYTE.varHandle();
    private static final byte ABSENT = 0;
    private static final byte LOADED = 1;
    private static final byte CHANGED = 2;
    /** A hole of the file, never touched: its memory need not be touched either. */
    private static final byte ZERO = 3;

    /** The most chunks in one read, and so the distance at which holes are looked for. */
    private static final long MOST_CHUNKS_READ = 256;

    private final Mapping memory;
    private final boolean writable;
    private final EntryTable table;
    private final long chunkCount;
    private final MemorySegment entries;
    private final MemorySegment states;
    /** Whether the file has all changes. */
    private boolean finished;

    private PageEntries(EntryTable.Form form, GuestLayout layout, UUID snapshot, Descriptor file, boolean writable)
            throws IOException {
        this.writable = writable;
        chunkCount = form.chunks(layout.pageCount());
        long tableBytes = EntryTable.bytes(form, layout);
        long entryBytes = chunkCount * CHUNK_BYTES;
        memory = Mapping.anonymous(file.posix(), tableBytes + entryBytes + chunkCount, HugePages.NONE);
        MemorySegment all = memory.segment();
        table = new EntryTable(form, layout, snapshot, file, all.asSlice(0, tableBytes));
        entries = all.asSlice(tableBytes, entryBytes);
        states = all.asSlice(tableBytes + entryBytes, chunkCount);
    }

    /** Makes an empty file one whose entries are all zero. */
    static PageEntries create(EntryTable.Form form, GuestLayout layout, Descriptor file) throws IOException {
        return create(form, layout, EntryTable.NO_SNAPSHOT, file);
    }

    /** As {@link #create(EntryTable.Form, GuestLayout, Descriptor)}, bound to a publication. */
    static PageEntries create(EntryTable.Form form, GuestLayout layout, UUID snapshot, Descriptor file)
            throws IOException {
        if (file.sizeBytes() != 0) {
            throw new IllegalArgumentException(file + " is not empty");
        }
        PageEntries created = new PageEntries(form, layout, snapshot, file, true);
        return Closing.readyOrClosed(created, () -> {
            created.states.fill(ZERO);
            created.table.describe();
            file.truncate(created.table.fileBytes());
        });
    }

    /** Opens a file as it was published. */
    static PageEntries open(EntryTable.Form form, GuestLayout layout, Descriptor file) throws IOException {
        return open(form, layout, EntryTable.NO_SNAPSHOT, file);
    }

    /** Opens a file that is bound to a publication. Refuses the file of another publication. */
    static PageEntries open(EntryTable.Form form, GuestLayout layout, UUID snapshot, Descriptor file)
            throws IOException {
        PageEntries opened = new PageEntries(form, layout, snapshot, file, false);
        return Closing.readyOrClosed(opened, opened.table::read);
    }

    /** Returns the root of a file whose header and table are intact; entries are not read. */
    static int rootOf(EntryTable.Form form, GuestLayout layout, Descriptor file) throws IOException {
        try (PageEntries opened = open(form, layout, file)) {
            return opened.table.root();
        }
    }

    @Override
    public EntryTable table() {
        return table;
    }

    @Override
    public int get(long page) throws IOException {
        prepare(page / PAGES_IN_CHUNK);
        return entries.get(EntryTable.INT, page * Integer.BYTES);
    }

    @Override
    public void copy(long firstPage, MemorySegment target) throws IOException {
        load(firstPage, target.byteSize() / Integer.BYTES);
        MemorySegment.copy(entries, firstPage * Integer.BYTES, target, 0, target.byteSize());
    }

    @Override
    public boolean isClear(long firstPage, long count) throws IOException {
        load(firstPage, count);
        long end = firstPage + count;
        for (long page = firstPage; page < end;) {
            long chunk = page / PAGES_IN_CHUNK;
            long pieceEnd = Math.min(end, (chunk + 1) * PAGES_IN_CHUNK);
            if (state(chunk) != ZERO
                    && !Pages.isZero(entries, page * Integer.BYTES, (pieceEnd - page) * Integer.BYTES)) {
                return false;
            }
            page = pieceEnd;
        }
        return true;
    }

    @Override
    public void set(long page, int entry) throws IOException {
        requireWritable();
        long chunk = page / PAGES_IN_CHUNK;
        prepare(chunk);
        entries.set(EntryTable.INT, page * Integer.BYTES, entry);
        changed(chunk);
    }

    @Override
    public void clear(long firstPage, long count) throws IOException {
        requireWritable();
        load(firstPage, count);
        long end = firstPage + count;
        for (long page = firstPage; page < end;) {
            long chunk = page / PAGES_IN_CHUNK;
            long chunkEnd = Math.min(end, (chunk + 1) * PAGES_IN_CHUNK);
            if (state(chunk) != ZERO) {
                entries.asSlice(page * Integer.BYTES, (chunkEnd - page) * Integer.BYTES).fill((byte) 0);
                changed(chunk);
            }
            page = chunkEnd;
        }
    }

    @Override
    public void load(long firstPage, long count) throws IOException {
        long end = Math.ceilDiv(firstPage + count, (long) PAGES_IN_CHUNK);
        for (long chunk = firstPage / PAGES_IN_CHUNK; chunk < end; chunk++) {
            if (state(chunk) == ABSENT) {
                read(chunk, end);
                return;
            }
        }
    }

    /** Keeps none of the entries it reads: a large index need not fit into memory. */
    @Override
    public synchronized void verify() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(Math.min(chunkCount, MOST_CHUNKS_READ) * CHUNK_BYTES);
            long chunk = 0;
            while (chunk < chunkCount - 1) {
                chunk = skipHole(chunk, chunkCount - 1);
                long first = chunk;
                while (chunk < chunkCount - 1 && chunk - first < MOST_CHUNKS_READ && state(chunk) == ABSENT) {
                    chunk++;
                }
                if (chunk > first) {
                    readChunks(first, buffer.asSlice(0, (chunk - first) * CHUNK_BYTES));
                } else {
                    chunk++;
                }
            }
        }
        // The padding after the last entry has to be checked, too.
        read(chunkCount - 1, chunkCount);
    }

    /** Reads and checks every entry that was not yet touched, and keeps it: for callers that will need all entries. */
    void loadAll() throws IOException {
        read(0, chunkCount);
    }

    /** Returns whether a prepared chunk is known to be zero without its memory being touched. */
    boolean isUntouchedZero(long chunk) {
        return state(chunk) == ZERO;
    }

    @Override
    public void populate(long firstPage, long count) throws IOException {
        int entryBits = table.form().entryBits();
        long start = firstPage * entryBits / Byte.SIZE;
        long end = Math.ceilDiv((firstPage + count) * entryBits, (long) Byte.SIZE);
        memory.populate(entries.address() - memory.segment().address() + start, end - start);
    }

    /** Returns all entries, of which only prepared chunks may be touched. */
    MemorySegment entries() {
        return entries;
    }

    /** Prepares a chunk. Call this before reading an entry of the chunk, or changing part of the chunk. */
    void prepare(long chunk) throws IOException {
        if (state(chunk) == ABSENT) {
            read(chunk, chunk + 1);
        }
    }

    /** Notes a change. Call this after changing an entry of a prepared chunk. */
    void changed(long chunk) {
        requireWritable();
        if (finished) {
            finished = false;
        }
        if (state(chunk) != CHANGED) {
            STATE.setRelease(states, chunk, CHANGED);
        }
    }

    @Override
    public int finish() throws IOException {
        requireWritable();
        if (finished) {
            return table.root();
        }
        long chunk = 0;
        while (chunk < chunkCount) {
            if (state(chunk) != CHANGED) {
                chunk++;
                continue;
            }
            long first = chunk;
            while (chunk < chunkCount && state(chunk) == CHANGED) {
                table.setChecksum(chunk, checksum(chunk));
                chunk++;
            }
            table.file().writeFully(chunks(first, chunk), table.entriesAt() + first * CHUNK_BYTES);
            states.asSlice(first, chunk - first).fill(LOADED);
        }
        int root = table.write();
        finished = true;
        return root;
    }

    @Override
    public void close() throws IOException {
        memory.close();
    }

    private byte state(long chunk) {
        return (byte) STATE.getAcquire(states, chunk);
    }

    private void requireWritable() {
        if (!writable) {
            throw new IllegalStateException(table.file() + " was opened for reading");
        }
    }

    private synchronized void read(long firstChunk, long endChunk) throws IOException {
        long chunk = firstChunk;
        while (chunk < endChunk) {
            if (state(chunk) != ABSENT) {
                chunk++;
                continue;
            }
            chunk = skipHole(chunk, endChunk);
            long first = chunk;
            while (chunk < endChunk && chunk - first < MOST_CHUNKS_READ && state(chunk) == ABSENT) {
                chunk++;
            }
            if (chunk == first) {
                continue;
            }
            readChunks(first, chunks(first, chunk));
            if (chunk == chunkCount) {
                requireNothingPastTheEnd();
            }
            for (long read = first; read < chunk; read++) {
                STATE.setRelease(states, read, LOADED);
            }
        }
    }

    private void readChunks(long first, MemorySegment target) throws IOException {
        table.file().readFully(target, table.entriesAt() + first * CHUNK_BYTES);
        for (long at = 0; at < target.byteSize(); at += CHUNK_BYTES) {
            long chunk = first + at / CHUNK_BYTES;
            if (!table.isChecksum(chunk, Pages.crc32c(target, at, CHUNK_BYTES))) {
                throw wrongChecksum(chunk);
            }
        }
    }

    private DamagedException wrongChecksum(long chunk) {
        return table.damaged("the checksum of the entries at " + (table.entriesAt() + chunk * CHUNK_BYTES)
                + " (pages from " + chunk * CHUNK_BYTES * Byte.SIZE / table.form().entryBits() + ") is wrong");
    }

    /**
     * Skips a hole of the file, whose entries are zero and need neither reading nor memory. Returns where the hole
     * ends.
     */
    private long skipHole(long chunk, long endChunk) throws IOException {
        long data = Math.min(endChunk, nextData(chunk));
        for (long hole = chunk; hole < data; hole++) {
            if (state(hole) == ABSENT) {
                if (table.checksum(hole) != 0) {
                    throw wrongChecksum(hole);
                }
                STATE.setRelease(states, hole, ZERO);
            }
        }
        return Math.max(chunk, data);
    }

    /** Returns the first chunk, from this one on, that may hold data in the file. */
    private long nextData(long chunk) {
        Descriptor file = table.file();
        Posix posix = file.posix();
        long from = table.entriesAt() + chunk * CHUNK_BYTES;
        long found = file.uninterrupted(() -> posix.lseek(file.number(), from, posix.constants().SEEK_DATA));
        if (posix.constants().failedWith(found, Errno.ENXIO)) {
            return chunkCount;
        }
        return found < 0 ? chunk : (found - table.entriesAt()) / CHUNK_BYTES;
    }

    private void requireNothingPastTheEnd() throws DamagedException {
        long pages = table.layout().pageCount();
        long endBit = pages * table.form().entryBits();
        long at = endBit / Byte.SIZE;
        int partial = (int) (endBit % Byte.SIZE);
        boolean clean = partial == 0
                || Byte.toUnsignedInt(entries.get(ValueLayout.JAVA_BYTE, at)) >>> partial == 0;
        for (long rest = Math.ceilDiv(endBit, (long) Byte.SIZE); rest < entries.byteSize(); rest++) {
            clean &= entries.get(ValueLayout.JAVA_BYTE, rest) == 0;
        }
        if (!clean) {
            throw table.damaged("it has entries past its last page, " + (pages - 1));
        }
    }

    private int checksum(long chunk) {
        return Pages.crc32c(entries, chunk * CHUNK_BYTES, CHUNK_BYTES);
    }

    private MemorySegment chunks(long first, long end) {
        return entries.asSlice(first * CHUNK_BYTES, (end - first) * CHUNK_BYTES);
    }
}
