package io.microsnap.memory;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/** Covers the time from the request to pause until the snapshot is published. */
@Name("io.microsnap.SnapshotCaptured")
@Label("Snapshot Captured")
@Category("microsnap")
@StackTrace(false)
@SuppressWarnings("unused")
final class CaptureEvent extends Event {
    @Label("Snapshot")
    private String snapshot;
    @Label("Kind")
    private String kind;
    @Label("Prepare")
    @Timespan
    private long prepare;
    @Label("Pause")
    @Timespan
    private long pause;
    @Label("Save State")
    @Timespan
    private long state;
    @Label("Harvest")
    @Timespan
    private long harvest;
    @Label("Write Memory")
    @Timespan
    private long memory;
    @Label("Attachments")
    @Timespan
    private long attachments;
    @Label("Publish")
    @Timespan
    private long publish;
    @Label("Copied Ahead")
    @Timespan
    private long copiedAhead;
    @Label("Rounds Ahead")
    private int roundsAhead;
    @Label("Bytes Written Ahead")
    @DataAmount
    private long bytesWrittenAhead;
    @Label("Pages Copied Ahead")
    private long pagesCopiedAhead;
    @Label("Pages Copied Again")
    private long pagesCopiedAgain;
    @Label("Pages Offered")
    private long pagesOffered;
    @Label("Pages Recorded")
    private long pagesRecorded;
    @Label("Bytes Written")
    @DataAmount
    private long bytesWritten;

    void commit(CaptureResult result) {
        if (!shouldCommit()) {
            return;
        }
        snapshot = result.reference().toString();
        kind = result.kind().name();
        prepare = result.times().prepare().toNanos();
        pause = result.times().pause().toNanos();
        state = result.times().state().toNanos();
        harvest = result.times().harvest().toNanos();
        memory = result.times().memory().toNanos();
        attachments = result.times().attachments().toNanos();
        publish = result.times().publish().toNanos();
        pagesOffered = result.memory().pagesOffered();
        pagesRecorded = result.memory().pagesRecorded();
        bytesWritten = result.memory().bytesWritten();
        result.copiedAhead().ifPresent(this::note);
        commit();
    }

    private void note(CopiedAhead ahead) {
        copiedAhead = ahead.time().toNanos();
        roundsAhead = ahead.rounds();
        bytesWrittenAhead = ahead.bytesCopied();
        pagesCopiedAhead = ahead.pagesCopied();
        pagesCopiedAgain = ahead.pagesAgain();
    }
}
