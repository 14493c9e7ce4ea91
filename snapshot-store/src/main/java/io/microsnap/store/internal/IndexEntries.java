package io.microsnap.store.internal;

import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * The entries of a page index as its file has them: the CRC32C of a page, XOR that of as many zeros.
 *
 * <p>Threads may touch different entries at one time; {@link #finish} and {@link #close} want to be alone.
 */
sealed interface IndexEntries extends Closeable permits PageEntries, ChangedEntries {
    EntryTable table();

    int get(long page) throws IOException;

    /** The entries from this page on, as many as the target holds. */
    void copy(long firstPage, MemorySegment target) throws IOException;

    /** Whether all of these entries are those of pages of zeros. */
    boolean isClear(long firstPage, long count) throws IOException;

    void set(long page, int entry) throws IOException;

    /** Sets the entries of pages of zeros. */
    void clear(long firstPage, long count) throws IOException;

    /** Reads and checks what is behind these entries, in as few reads as possible. */
    void load(long firstPage, long count) throws IOException;

    /** Takes the memory that changing these entries needs. */
    void populate(long firstPage, long count) throws IOException;

    /** Reads and checks every entry that was not yet touched. */
    void verify() throws IOException;

    /** Writes what changed, its checksums and the header, and returns the root. Nothing is synced. */
    int finish() throws IOException;
}
