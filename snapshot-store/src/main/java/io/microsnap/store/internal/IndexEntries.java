package io.microsnap.store.internal;

import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * The entries of a page index as the file stores them: the CRC32C of a page XOR the CRC32C of a page of zeros.
 *
 * <p>Threads may touch different entries at the same time; {@link #finish} and {@link #close} must not run concurrently
 * with other calls.
 */
sealed interface IndexEntries extends Closeable permits PageEntries, ChangedEntries {
    EntryTable table();

    int get(long page) throws IOException;

    /** Copies the entries from this page on, as many as the target holds. */
    void copy(long firstPage, MemorySegment target) throws IOException;

    /** Returns whether all of these entries stand for pages of zeros. */
    boolean isClear(long firstPage, long count) throws IOException;

    void set(long page, int entry) throws IOException;

    /** Sets these entries to those of pages of zeros. */
    void clear(long firstPage, long count) throws IOException;

    /** Reads and checks the chunks that hold these entries, in as few reads as possible. */
    void load(long firstPage, long count) throws IOException;

    /** Allocates the memory that changing these entries needs. */
    void populate(long firstPage, long count) throws IOException;

    /** Reads and checks every entry that was not yet touched. */
    void verify() throws IOException;

    /** Writes what changed, its checksums and the header, and returns the root. Nothing is synced. */
    int finish() throws IOException;
}
