package io.microsnap.registry.internal.remote;

import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.format.FrameTable;
import io.microsnap.registry.internal.format.SpoolFile;
import java.io.IOException;
import java.lang.foreign.Arena;

/** A snapshot's frame table, fetched and checked. */
public final class RemoteTable implements AutoCloseable {
    private final SpoolFile spool;
    private final Arena arena;
    private final FrameTable table;

    private RemoteTable(SpoolFile spool, Arena arena, FrameTable table) {
        this.spool = spool;
        this.arena = arena;
        this.table = table;
    }

    /** Fetches the table of a snapshot. */
    public static RemoteTable fetch(RegistryClient client, RemoteSnapshot snapshot) throws IOException {
        SpoolFile spool = Downloads.spooled(client, snapshot.frames());
        Arena arena = Arena.ofShared();
        try {
            FrameTable table = FrameTable.open("frame table " + snapshot.frames().digest() + " of " + client,
                    spool.map(0, spool.lengthBytes(), arena), snapshot.manifest());
            return new RemoteTable(spool, arena, table);
        } catch (Throwable failure) {
            try (spool; arena) {
                throw failure;
            }
        }
    }

    /** Returns the table, which may be used until this is closed. */
    public FrameTable table() {
        return table;
    }

    @Override
    public void close() throws IOException {
        try (spool) {
            arena.close();
        }
    }
}
