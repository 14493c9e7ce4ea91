package io.microsnap.core.store;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.file.HugePages;
import io.microsnap.core.file.Mapping;
import io.microsnap.core.file.Pages;
import io.microsnap.core.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;

/**
 * What page map and page index files have in common: one entry a page, off-heap, in chunks that are read and checked
 * when first touched and checksummed and written once when changed. The disk format is in {@code docs/disk-format.md}.
 *
 * <p>Threads may touch different entries at one time; {@link #finish} and {@link #close} want to be alone.
 */
final class PageEntries implements AutoCloseable {
    static final int CHUNK_BYTES = 4096;
    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final int HEADER_BYTES = 4096;
    private static final int VERSION = 1;
    private static final int MAGIC_BYTES = 8;
    private static final int AT_VERSION = 8;
    private static final int AT_ENTRY_BITS = 12;
    private static final int AT_ALGORITHM = 16;
    private static final int AT_PAGE_BYTES = 20;
    private static final int AT_IMAGE_BYTES = 24;
    private static final int AT_PAGES = 32;
    private static final int AT_CHUNK_BYTES = 40;
    private static final int AT_ROOT = 44;
    private static final int AT_RESERVED = 48;
    private static final int AT_HEADER_CHECKSUM = HEADER_BYTES - Integer.BYTES;

    private static final VarHandle STATE = ValueLayout.JAVA_BYTE.varHandle();
    private static final byte ABSENT = 0;
    private static final byte LOADED = 1;
    private static final byte CHANGED = 2;

    /** What tells the two kinds of file apart. */
    enum Form {
        MAP("msnapmap", "page map", 1, 0), INDEX("msnapidx", "page index", Integer.SIZE, 1);

        private final String magic;
        private final String title;
        private final int entryBits;
        private final int algorithm;

        Form(String magic, String title, int entryBits, int algorithm) {
            this.magic = magic;
            this.title = title;
            this.entryBits = entryBits;
            this.algorithm = algorithm;
        }

        MemorySegment magic() {
            return MemorySegment.ofArray(magic.getBytes(StandardCharsets.US_ASCII));
        }

        long chunks(long pages) {
            return Math.ceilDiv(Math.multiplyExact(pages, (long) entryBits), (long) CHUNK_BYTES * Byte.SIZE);
        }
    }

    private final Mapping memory;
    private final Descriptor file;
    private final Descriptor source;
    private final boolean writable;
    private final Form form;
    private final GuestLayout layout;
    private final long chunkCount;
    private final int zeroChunkChecksum = ofZeros(CHUNK_BYTES);
    private final MemorySegment header;
    private final MemorySegment table;
    private final MemorySegment entries;
    private final MemorySegment states;

    private PageEntries(Form form, GuestLayout layout, Descriptor file, Descriptor source, boolean writable)
            throws IOException {
        this.form = form;
        this.layout = layout;
        this.file = file;
        this.source = source;
        this.writable = writable;
        chunkCount = form.chunks(layout.pageCount());
        long tableBytes = Math.ceilDiv(chunkCount * Integer.BYTES, (long) CHUNK_BYTES) * CHUNK_BYTES;
        long entryBytes = chunkCount * CHUNK_BYTES;
        // Laid out as the file is, and the chunks' states behind it. Nothing is allocated that is not touched.
        memory = Mapping.anonymous(file.posix(), HEADER_BYTES + tableBytes + entryBytes + chunkCount, HugePages.NONE);
        MemorySegment all = memory.segment();
        header = all.asSlice(0, HEADER_BYTES);
        table = all.asSlice(HEADER_BYTES, tableBytes);
        entries = all.asSlice(HEADER_BYTES + tableBytes, entryBytes);
        states = all.asSlice(HEADER_BYTES + tableBytes + entryBytes, chunkCount);
    }

    /** An empty file becomes one whose entries are all zero. */
    static PageEntries create(Form form, GuestLayout layout, Descriptor file) throws IOException {
        if (file.sizeBytes() != 0) {
            throw new IllegalArgumentException(file + " is not empty");
        }
        PageEntries created = new PageEntries(form, layout, file, file, true);
        return created.orClosed(() -> {
            created.states.fill(LOADED);
            created.describe();
            file.truncate(created.fileBytes());
        });
    }

    /** A file that already holds a copy of another one's bytes: read from there, changed here. */
    static PageEntries change(PageEntries original, Descriptor copy) throws IOException {
        PageEntries changing = new PageEntries(original.form, original.layout, copy, original.file, true);
        return changing.orClosed(changing::readHeaderAndTable);
    }

    /** A file as it was published. */
    static PageEntries open(Form form, GuestLayout layout, Descriptor file) throws IOException {
        PageEntries opened = new PageEntries(form, layout, file, file, false);
        return opened.orClosed(opened::readHeaderAndTable);
    }

    /** The root of a file whose header and table are intact; entries are not read. */
    static int rootOf(Form form, GuestLayout layout, Descriptor file) throws IOException {
        PageEntries opened = open(form, layout, file);
        try {
            return opened.root();
        } finally {
            opened.close();
        }
    }

    /** The CRC32C of that many zeros. */
    static int ofZeros(int lengthBytes) {
        CRC32C crc = new CRC32C();
        crc.update(new byte[lengthBytes], 0, lengthBytes);
        return (int) crc.getValue();
    }

    GuestLayout layout() {
        return layout;
    }

    Descriptor file() {
        return file;
    }

    long fileBytes() {
        return entriesAt() + chunkCount * CHUNK_BYTES;
    }

    /** All entries, of which only prepared chunks may be touched. */
    MemorySegment entries() {
        return entries;
    }

    int root() {
        return header.get(INT, AT_ROOT);
    }

    /** Before an entry of the chunk is read, or changed in part. */
    void prepare(long chunk) throws IOException {
        if ((byte) STATE.getAcquire(states, chunk) == ABSENT) {
            load(chunk, chunk + 1);
        }
    }

    /** Before entries in these chunks are read or changed: what is absent comes in as few reads as possible. */
    void prepare(long firstChunk, long endChunk) throws IOException {
        for (long chunk = firstChunk; chunk < endChunk; chunk++) {
            if ((byte) STATE.getAcquire(states, chunk) == ABSENT) {
                load(chunk, endChunk);
                return;
            }
        }
    }

    /** After an entry of a prepared chunk was changed, or every entry of any chunk. */
    void changed(long chunk) {
        if (!writable) {
            throw new IllegalStateException(file + " was opened for reading");
        }
        if ((byte) STATE.getAcquire(states, chunk) != CHANGED) {
            STATE.setRelease(states, chunk, CHANGED);
        }
    }

    /** Reads and checks every chunk that was not yet touched. */
    void verify() throws IOException {
        prepare(0, chunkCount);
    }

    /** Checksums and writes what changed, and returns the root. Nothing is synced. */
    int finish() throws IOException {
        if (!writable) {
            throw new IllegalStateException(file + " was opened for reading");
        }
        long tableFrom = Long.MAX_VALUE;
        long tableTo = 0;
        long chunk = 0;
        while (chunk < chunkCount) {
            if (states.get(ValueLayout.JAVA_BYTE, chunk) != CHANGED) {
                chunk++;
                continue;
            }
            long first = chunk;
            while (chunk < chunkCount && states.get(ValueLayout.JAVA_BYTE, chunk) == CHANGED) {
                table.set(INT, chunk * Integer.BYTES, checksum(chunk));
                chunk++;
            }
            file.writeFully(chunks(first, chunk), entriesAt() + first * CHUNK_BYTES);
            states.asSlice(first, chunk - first).fill(LOADED);
            tableFrom = Math.min(tableFrom, first * Integer.BYTES);
            tableTo = chunk * Integer.BYTES;
        }
        if (tableTo > 0) {
            file.writeFully(table.asSlice(tableFrom, tableTo - tableFrom), HEADER_BYTES + tableFrom);
        }
        describe();
        file.writeFully(header, 0);
        return root();
    }

    @Override
    public void close() throws IOException {
        memory.close();
    }

    private synchronized void load(long firstChunk, long endChunk) throws IOException {
        long chunk = firstChunk;
        while (chunk < endChunk) {
            if ((byte) STATE.getAcquire(states, chunk) != ABSENT) {
                chunk++;
                continue;
            }
            long first = chunk;
            while (chunk < endChunk && (byte) STATE.getAcquire(states, chunk) == ABSENT) {
                chunk++;
            }
            source.readFully(chunks(first, chunk), entriesAt() + first * CHUNK_BYTES);
            for (long loaded = first; loaded < chunk; loaded++) {
                if (table.get(INT, loaded * Integer.BYTES) != checksum(loaded)) {
                    throw damaged(source, "the checksum of the entries at " + (entriesAt() + loaded * CHUNK_BYTES)
                            + " (pages from " + loaded * CHUNK_BYTES * Byte.SIZE / form.entryBits + ") is wrong");
                }
            }
            if (chunk == chunkCount) {
                requireNothingPastTheEnd();
            }
            for (long loaded = first; loaded < chunk; loaded++) {
                STATE.setRelease(states, loaded, LOADED);
            }
        }
    }

    private void requireNothingPastTheEnd() throws DamagedException {
        long endBit = layout.pageCount() * form.entryBits;
        long at = endBit / Byte.SIZE;
        int partial = (int) (endBit % Byte.SIZE);
        boolean clean = partial == 0
                || Byte.toUnsignedInt(entries.get(ValueLayout.JAVA_BYTE, at)) >>> partial == 0;
        for (long rest = Math.ceilDiv(endBit, (long) Byte.SIZE); rest < entries.byteSize(); rest++) {
            clean &= entries.get(ValueLayout.JAVA_BYTE, rest) == 0;
        }
        if (!clean) {
            throw damaged(source, "it has entries past its last page, " + (layout.pageCount() - 1));
        }
    }

    private void describe() {
        MemorySegment.copy(form.magic(), 0, header, 0, MAGIC_BYTES);
        header.set(INT, AT_VERSION, VERSION);
        header.set(INT, AT_ENTRY_BITS, form.entryBits);
        header.set(INT, AT_ALGORITHM, form.algorithm);
        header.set(INT, AT_PAGE_BYTES, layout.pageBytes());
        header.set(LONG, AT_IMAGE_BYTES, layout.lengthBytes());
        header.set(LONG, AT_PAGES, layout.pageCount());
        header.set(INT, AT_CHUNK_BYTES, CHUNK_BYTES);
        header.set(INT, AT_ROOT, computedRoot());
        header.set(INT, AT_HEADER_CHECKSUM, Pages.crc32c(header, 0, AT_HEADER_CHECKSUM));
    }

    private int computedRoot() {
        CRC32C crc = new CRC32C();
        Pages.update(crc, header, AT_VERSION, AT_ROOT - AT_VERSION);
        Pages.update(crc, table, 0, chunkCount * Integer.BYTES);
        return (int) crc.getValue();
    }

    private void readHeaderAndTable() throws IOException {
        long size = file.sizeBytes();
        if (size < HEADER_BYTES) {
            throw damaged(file, "it has " + size + " bytes and is shorter than its header");
        }
        file.readFully(header, 0);
        if (header.asSlice(0, MAGIC_BYTES).mismatch(form.magic()) >= 0) {
            throw damaged(file, "it does not start as a " + form.title + " does");
        }
        require("header checksum at " + AT_HEADER_CHECKSUM, header.get(INT, AT_HEADER_CHECKSUM),
                Pages.crc32c(header, 0, AT_HEADER_CHECKSUM));
        require("version", header.get(INT, AT_VERSION), VERSION);
        require("bits in an entry", header.get(INT, AT_ENTRY_BITS), form.entryBits);
        require("algorithm", header.get(INT, AT_ALGORITHM), form.algorithm);
        require("bytes in a page", header.get(INT, AT_PAGE_BYTES), layout.pageBytes());
        require("bytes in the image", header.get(LONG, AT_IMAGE_BYTES), layout.lengthBytes());
        require("pages", header.get(LONG, AT_PAGES), layout.pageCount());
        require("bytes in a chunk", header.get(INT, AT_CHUNK_BYTES), CHUNK_BYTES);
        for (long at = AT_RESERVED; at < AT_HEADER_CHECKSUM; at += Integer.BYTES) {
            require("reserved bytes at " + at, header.get(INT, at), 0);
        }
        require("length", size, fileBytes());
        file.readFully(table, HEADER_BYTES);
        for (long at = chunkCount * Integer.BYTES; at < table.byteSize(); at += Integer.BYTES) {
            require("padding at " + (HEADER_BYTES + at), table.get(INT, at), 0);
        }
        require("root", root(), computedRoot());
    }

    private void require(String what, long found, long expected) throws DamagedException {
        if (found != expected) {
            throw damaged(file, "its " + what + " is " + found + " where " + expected + " is right");
        }
    }

    private DamagedException damaged(Descriptor where, String what) {
        return new DamagedException(where + " is no intact " + form.title + ": " + what);
    }

    private int checksum(long chunk) {
        return Pages.crc32c(entries, chunk * CHUNK_BYTES, CHUNK_BYTES) ^ zeroChunkChecksum;
    }

    private MemorySegment chunks(long first, long end) {
        return entries.asSlice(first * CHUNK_BYTES, (end - first) * CHUNK_BYTES);
    }

    private long entriesAt() {
        return HEADER_BYTES + table.byteSize();
    }

    private PageEntries orClosed(Closing.Step step) throws IOException {
        try {
            step.run();
            return this;
        } catch (IOException | RuntimeException failure) {
            Closing closing = new Closing();
            closing.step(this::close);
            closing.after(failure);
            throw failure;
        }
    }
}
