package io.microsnap.store.internal;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import java.util.zip.CRC32C;

/**
 * The header of a page map or page index file and the checksums of its chunks, in memory that the owner supplies. The
 * disk format is in {@code docs/disk-format.md}.
 */
final class EntryTable {
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
    private static final int AT_SNAPSHOT = 48;
    private static final int AT_RESERVED = AT_SNAPSHOT + 2 * Long.BYTES;
    private static final int AT_HEADER_CHECKSUM = HEADER_BYTES - Integer.BYTES;
    private static final ValueLayout.OfLong UUID_HALF = ValueLayout.JAVA_LONG.withOrder(ByteOrder.BIG_ENDIAN);

    /** In the header of a file that is not bound to a publication. */
    static final UUID NO_SNAPSHOT = new UUID(0, 0);

    /** The kinds of file. */
    enum Form {
        MAP("msnapmap", "page map", 1, 0),
        INDEX("msnapidx", "page index", Integer.SIZE, 1),
        WORKING_SET("msnapset", "working set", Byte.SIZE, 0);

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

        int entryBits() {
            return entryBits;
        }

        private MemorySegment magic() {
            return MemorySegment.ofArray(magic.getBytes(StandardCharsets.US_ASCII));
        }

        long chunks(long pages) {
            return Math.ceilDiv(Math.multiplyExact(pages, (long) entryBits), (long) CHUNK_BYTES * Byte.SIZE);
        }
    }

    private final Form form;
    private final GuestLayout layout;
    private final UUID snapshot;
    private final Descriptor file;
    private final long chunkCount;
    private final int zeroChunkChecksum = ofZeros(CHUNK_BYTES);
    private final MemorySegment header;
    private final MemorySegment table;
    private long changedFrom = Long.MAX_VALUE;
    private long changedTo;

    /**
     * @param snapshot the publication that the file is bound to, or {@link #NO_SNAPSHOT}
     * @param memory zeros, {@link #bytes} of them
     */
    EntryTable(Form form, GuestLayout layout, UUID snapshot, Descriptor file, MemorySegment memory) {
        this.form = form;
        this.layout = layout;
        this.snapshot = snapshot;
        this.file = file;
        chunkCount = form.chunks(layout.pageCount());
        header = memory.asSlice(0, HEADER_BYTES);
        table = memory.asSlice(HEADER_BYTES, bytes(form, layout) - HEADER_BYTES);
    }

    /** Returns the length of header and table, which is the offset of the first entry. */
    static long bytes(Form form, GuestLayout layout) {
        long tableBytes = form.chunks(layout.pageCount()) * Integer.BYTES;
        return HEADER_BYTES + Math.ceilDiv(tableBytes, (long) CHUNK_BYTES) * CHUNK_BYTES;
    }

    /** Returns the CRC32C of that many zeros. */
    static int ofZeros(int lengthBytes) {
        CRC32C crc = new CRC32C();
        crc.update(new byte[lengthBytes], 0, lengthBytes);
        return (int) crc.getValue();
    }

    Form form() {
        return form;
    }

    GuestLayout layout() {
        return layout;
    }

    Descriptor file() {
        return file;
    }

    long entriesAt() {
        return HEADER_BYTES + table.byteSize();
    }

    long fileBytes() {
        return entriesAt() + chunkCount * CHUNK_BYTES;
    }

    int root() {
        return header.get(INT, AT_ROOT);
    }

    /** Returns the stored checksum of a chunk that was written; equal entries have equal checksums. */
    int checksum(long chunk) {
        return table.get(INT, chunk * Integer.BYTES);
    }

    /** Returns whether this is the checksum of the chunk that was written. */
    boolean isChecksum(long chunk, int checksum) {
        return checksum(chunk) == (checksum ^ zeroChunkChecksum);
    }

    void setChecksum(long chunk, int checksum) {
        table.set(INT, chunk * Integer.BYTES, checksum ^ zeroChunkChecksum);
        changed(chunk);
    }

    /** Flips these bits of the chunk's checksum. */
    void flip(long chunk, int bits) {
        table.set(INT, chunk * Integer.BYTES, table.get(INT, chunk * Integer.BYTES) ^ bits);
        changed(chunk);
    }

    private void changed(long chunk) {
        changedFrom = Math.min(changedFrom, chunk * Integer.BYTES);
        changedTo = Math.max(changedTo, (chunk + 1) * Integer.BYTES);
    }

    /** Sets the header of a fresh file. */
    void describe() {
        MemorySegment.copy(form.magic(), 0, header, 0, MAGIC_BYTES);
        header.set(INT, AT_VERSION, VERSION);
        header.set(INT, AT_ENTRY_BITS, form.entryBits);
        header.set(INT, AT_ALGORITHM, form.algorithm);
        header.set(INT, AT_PAGE_BYTES, layout.pageBytes());
        header.set(LONG, AT_IMAGE_BYTES, layout.lengthBytes());
        header.set(LONG, AT_PAGES, layout.pageCount());
        header.set(INT, AT_CHUNK_BYTES, CHUNK_BYTES);
        header.set(INT, AT_ROOT, computedRoot());
        header.set(UUID_HALF, AT_SNAPSHOT, snapshot.getMostSignificantBits());
        header.set(UUID_HALF, AT_SNAPSHOT + Long.BYTES, snapshot.getLeastSignificantBits());
        header.set(INT, AT_HEADER_CHECKSUM, Pages.crc32c(header, 0, AT_HEADER_CHECKSUM));
    }

    /** Writes header and table as they are now, and returns the root. */
    int write() throws IOException {
        if (changedTo > 0) {
            file.writeFully(table.asSlice(changedFrom, changedTo - changedFrom), HEADER_BYTES + changedFrom);
            changedFrom = Long.MAX_VALUE;
            changedTo = 0;
        }
        describe();
        file.writeFully(header, 0);
        return root();
    }

    /** Reads header and table, and refuses anything that is not exactly as it was written. */
    void read() throws IOException {
        long size = file.sizeBytes();
        if (size < HEADER_BYTES) {
            throw damaged("it has " + size + " bytes and is shorter than its header");
        }
        file.readFully(header, 0);
        if (header.asSlice(0, MAGIC_BYTES).mismatch(form.magic()) >= 0) {
            throw damaged("it does not start like a " + form.title);
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
        UUID found = new UUID(header.get(UUID_HALF, AT_SNAPSHOT), header.get(UUID_HALF, AT_SNAPSHOT + Long.BYTES));
        if (!found.equals(snapshot)) {
            throw damaged(snapshot.equals(NO_SNAPSHOT) ? "its reserved bytes at " + AT_SNAPSHOT + " are not zero"
                    : "it belongs to publication " + found + ", not to " + snapshot);
        }
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

    DamagedException damaged(String what) {
        return new DamagedException(file + " is not an intact " + form.title + ": " + what);
    }

    private int computedRoot() {
        CRC32C crc = new CRC32C();
        Pages.update(crc, header, AT_VERSION, AT_ROOT - AT_VERSION);
        Pages.update(crc, table, 0, chunkCount * Integer.BYTES);
        return (int) crc.getValue();
    }

    private void require(String what, long found, long expected) throws DamagedException {
        if (found != expected) {
            throw damaged("its " + what + " is " + found + " where " + expected + " is right");
        }
    }
}
