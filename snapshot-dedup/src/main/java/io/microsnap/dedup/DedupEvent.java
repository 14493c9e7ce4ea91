package io.microsnap.dedup;

import io.microsnap.core.CancelledException;
import io.microsnap.core.SnapshotId;
import io.microsnap.store.internal.DirectoryStore;
import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** Reports a deduplication to the flight recorder and the log. */
@Name("io.microsnap.SnapshotDeduplicated")
@Label("Snapshot Deduplicated")
@Category("microsnap")
@Description("A snapshot was compared with another one, to share blocks with it")
@StackTrace(false)
final class DedupEvent extends Event {
    private static final System.Logger LOG = System.getLogger(Deduplicator.class.getName());

    @Label("Store")
    String store;
    @Label("Snapshot")
    String snapshot;
    @Label("Sibling")
    String sibling;
    @Label("Outcome")
    String outcome;
    @Label("Explanation")
    String explanation;
    @Label("Shared Bytes")
    long sharedBytes;

    void end(DirectoryStore in, SnapshotId target, DedupOutcome result) {
        end();
        switch (result) {
            case DedupOutcome.Deduplicated(DedupReport report) -> {
                outcome = "deduplicated";
                explanation = "";
                tell(report);
                LOG.log(System.Logger.Level.INFO, "{0} shares {1} bytes more with {2}, after {3} ms", target,
                        sharedBytes, sibling, report.time().total().toMillis());
            }
            case DedupOutcome.LeftAlone alone -> {
                outcome = alone.reason().name();
                explanation = alone.explanation();
                alone.report().ifPresent(this::tell);
                LOG.log(System.Logger.Level.DEBUG, "{0} is left as it was: {1}", target, explanation);
            }
            case DedupOutcome.Failed(CancelledException stopped) -> {
                outcome = "cancelled";
                explanation = stopped.getMessage();
                LOG.log(System.Logger.Level.INFO, "{0} was not deduplicated to the end: {1}", target, explanation);
            }
            case DedupOutcome.Failed(Exception cause) -> {
                outcome = "failed";
                explanation = String.valueOf(cause.getMessage());
                LOG.log(System.Logger.Level.WARNING, target + " could not be deduplicated and is left as it was",
                        cause);
            }
        }
        if (shouldCommit()) {
            store = in.toString();
            snapshot = target.name();
            commit();
        }
    }

    private void tell(DedupReport report) {
        sharedBytes = report.sharedBytes();
        sibling = report.sibling().map(chosen -> chosen.reference().id().name()).orElse("");
    }
}
