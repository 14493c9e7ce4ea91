package io.microsnap.store.internal;

import io.microsnap.core.SnapshotId;
import io.microsnap.store.Recovered;
import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** Reports a store's changes to the flight recorder and the log. */
final class StoreEvents {
    private static final System.Logger LOG = System.getLogger(DirectoryStore.class.getName());

    private StoreEvents() {
    }

    static Publish publish() {
        Publish event = new Publish();
        event.begin();
        return event;
    }

    static Delete delete() {
        Delete event = new Delete();
        event.begin();
        return event;
    }

    static Recovery recovery() {
        Recovery event = new Recovery();
        event.begin();
        return event;
    }

    /** A snapshot was published. */
    @Name("io.microsnap.SnapshotPublished")
    @Label("Snapshot Published")
    @Category("microsnap")
    @Description("A snapshot became visible and durable")
    @StackTrace(false)
    static final class Publish extends Event {
        @Label("Store")
        String store;
        @Label("Snapshot")
        String snapshot;
        @Label("UUID")
        String uuid;
        @Label("Replaced Another")
        boolean replaced;

        void end(StoreDirectory in, StoredManifest manifest, boolean replacedAnother) {
            LOG.log(System.Logger.Level.DEBUG, "{0} published in {1}", manifest.reference(), in.root());
            end();
            if (shouldCommit()) {
                store = in.root().name();
                snapshot = manifest.id().name();
                uuid = manifest.uuid().toString();
                replaced = replacedAnother;
                commit();
            }
        }
    }

    /** A snapshot was deleted. */
    @Name("io.microsnap.SnapshotDeleted")
    @Label("Snapshot Deleted")
    @Category("microsnap")
    @Description("A snapshot was removed from the store, durably")
    @StackTrace(false)
    static final class Delete extends Event {
        @Label("Store")
        String store;
        @Label("Snapshot")
        String snapshot;

        void end(StoreDirectory in, SnapshotId id) {
            LOG.log(System.Logger.Level.DEBUG, "{0} deleted from {1}", id, in.root());
            end();
            if (shouldCommit()) {
                store = in.root().name();
                snapshot = id.name();
                commit();
            }
        }
    }

    /** Unfinished work of dead processes was removed. */
    @Name("io.microsnap.StoreRecovered")
    @Label("Store Recovered")
    @Category("microsnap")
    @Description("Unfinished work of dead processes was removed from a store")
    @StackTrace(false)
    static final class Recovery extends Event {
        @Label("Store")
        String store;
        @Label("Removed")
        int removed;
        @Label("Freed Bytes")
        long freedBytes;

        void end(StoreDirectory in, Recovered recovered) {
            if (recovered.removed() > 0) {
                LOG.log(System.Logger.Level.DEBUG, "{0}: removed {1} pieces of unfinished work, {2} bytes",
                        in.root(), recovered.removed(), recovered.freedBytes());
            }
            end();
            if (shouldCommit()) {
                store = in.root().name();
                removed = recovered.removed();
                freedBytes = recovered.freedBytes();
                commit();
            }
        }
    }
}
