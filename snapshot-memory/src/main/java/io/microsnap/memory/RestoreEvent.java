package io.microsnap.memory;

import io.microsnap.core.SnapshotReference;
import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** Covers the time from the call until guest memory can be used. */
@Name("io.microsnap.SnapshotRestored")
@Label("Snapshot Restored")
@Category("microsnap")
@StackTrace(false)
@SuppressWarnings("unused")
final class RestoreEvent extends Event {
    @Label("Snapshot")
    private String snapshot;
    @Label("Engine")
    private String engine;
    @Label("Guest Memory")
    @DataAmount
    private long memoryBytes;
    @Label("Images in the Chain")
    private int images;
    @Label("Verified")
    private boolean verified;

    void commit(SnapshotReference reference, String name, long lengthBytes, int layers, boolean checked) {
        if (!shouldCommit()) {
            return;
        }
        snapshot = reference.toString();
        engine = name;
        memoryBytes = lengthBytes;
        images = layers;
        verified = checked;
        commit();
    }
}
