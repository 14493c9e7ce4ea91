package io.microsnap.registry.internal.push;

import io.microsnap.core.SnapshotReference;
import io.microsnap.registry.internal.format.Frame;
import io.microsnap.registry.internal.remote.RemoteTable;
import java.io.IOException;

/**
 * A snapshot in the registry whose packs another one uses.
 *
 * @param reference which
 * @param table the frame table of its pages
 * @param rule which of them the other snapshot has, too
 */
record Donor(SnapshotReference reference, RemoteTable table, Rule rule) implements AutoCloseable {
    /** Tells which pages of a frame, of those that the donor's image takes from it, the other image has too. */
    @FunctionalInterface
    interface Rule {
        /** Returns a bit for each of those pages, as {@link Frame#used} numbers them. */
        long shared(Frame frame) throws IOException;
    }

    @Override
    public void close() throws IOException {
        table.close();
    }
}
