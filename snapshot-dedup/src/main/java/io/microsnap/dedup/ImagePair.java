package io.microsnap.dedup;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.Steps;
import java.io.IOException;
import java.util.concurrent.locks.LockSupport;

/** A canonical image and a target of the same length, both open, and what they were when work on them began. */
final class ImagePair {
    /** So often a lock is asked for that another holds. */
    private static final long MOMENT_NANOS = 5_000_000;

    private final Descriptor canonical;
    private final Descriptor target;
    private final Stat canonicalBefore;
    private final Stat targetBefore;

    private ImagePair(Descriptor canonical, Descriptor target, Stat canonicalBefore, Stat targetBefore) {
        this.canonical = canonical;
        this.target = target;
        this.canonicalBefore = canonicalBefore;
        this.targetBefore = targetBefore;
    }

    /** Refuses two files that cannot share anything. Both descriptors stay the caller's. */
    static ImagePair of(Descriptor canonical, Descriptor target) throws IOException {
        requirePlainFile(canonical);
        requirePlainFile(target);
        // From here on, a write through an existing mapping changes the time of modification.
        canonical.syncData();
        target.syncData();
        ImagePair pair = new ImagePair(canonical, target, canonical.status(), target.status());
        pair.requireFit();
        return pair;
    }

    /**
     * As {@link #of}, but until the descriptors are closed nobody else deduplicates the target, or replaces either by a
     * clone. Another process's lock is waited for as long as the options' patience lasts.
     */
    static ImagePair locked(Descriptor canonical, Descriptor target, DedupOptions options) throws IOException {
        of(canonical, target).lock(options);
        // What was locked meanwhile may have been worked on until now.
        return of(canonical, target);
    }

    /** Two files that nobody else knows of, of the same length. */
    static ImagePair ofOurOwn(Descriptor canonical, Descriptor target) throws IOException {
        return new ImagePair(canonical, target, canonical.status(), target.status());
    }

    private void lock(DedupOptions options) throws IOException {
        long until = System.nanoTime() + options.patience().toNanos();
        // In one order whichever is which: two that wait for each other would both wait in vain.
        if (canonicalBefore.inode() < targetBefore.inode()) {
            lock(canonical, false, until, options);
            lock(target, true, until, options);
        } else {
            lock(target, true, until, options);
            lock(canonical, false, until, options);
        }
        if (canonical.status().links() == 0) {
            throw new LeaveAlone(Reason.SIBLING_GONE, canonical + " was deleted or replaced");
        }
        if (target.status().links() == 0) {
            throw new LeaveAlone(Reason.TARGET_GONE, target + " was deleted or replaced");
        }
    }

    private void lock(Descriptor file, boolean exclusive, long untilNanos, DedupOptions options) throws IOException {
        while (!file.tryLock(exclusive)) {
            if (untilNanos - System.nanoTime() <= 0) {
                throw new LeaveAlone(Reason.BUSY, file + " is locked: another process has been deduplicating "
                        + (exclusive ? "it, or with it," : "it") + " for " + options.patience().toMillis()
                        + " ms and more; run it again later");
            }
            options.progress().advanced(0, 2 * lengthBytes());
            Steps.requireNotInterrupted();
            LockSupport.parkNanos(MOMENT_NANOS);
        }
    }

    Descriptor canonical() {
        return canonical;
    }

    Descriptor target() {
        return target;
    }

    Stat targetBefore() {
        return targetBefore;
    }

    long lengthBytes() {
        return targetBefore.sizeBytes();
    }

    /** Fails if, as far as can be told, either file was written since. */
    void requireUnchanged() throws IOException {
        if (!canonical.status().isUnchangedSince(canonicalBefore)) {
            throw new LeaveAlone(Reason.CANONICAL_CHANGED, canonical + " was written while it was compared");
        }
        if (!target.status().isUnchangedSince(targetBefore)) {
            throw new LeaveAlone(Reason.TARGET_CHANGED, target + " was written while it was compared");
        }
    }

    private void requireFit() throws LeaveAlone {
        if (canonicalBefore.sameFile(targetBefore)) {
            throw new LeaveAlone(Reason.SAME_FILE, canonical + " and " + target + " are one file");
        }
        if (canonicalBefore.sizeBytes() != targetBefore.sizeBytes()) {
            throw new LeaveAlone(Reason.DIFFERENT_LENGTH, target + " has " + targetBefore.sizeBytes() + " bytes and "
                    + canonical + " " + canonicalBefore.sizeBytes() + "; only images of one length are compared");
        }
        if (targetBefore.sizeBytes() == 0) {
            throw new LeaveAlone(Reason.EMPTY, target + " is empty");
        }
        if (canonicalBefore.device() != targetBefore.device()) {
            throw new LeaveAlone(Reason.UNSUPPORTED,
                    canonical + " and " + target + " lie on different filesystems, which cannot share blocks");
        }
    }

    private static void requirePlainFile(Descriptor file) throws IOException {
        if (!file.status().isRegularFile()) {
            throw new LeaveAlone(Reason.NO_PLAIN_FILE, file + " is not a plain file, and only those share blocks");
        }
    }
}
