package io.microsnap.dedup;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.Steps;
import java.io.IOException;
import java.util.concurrent.locks.LockSupport;

/** A canonical image and a target of the same length, both open, with their status when the work began. */
final class ImagePair {
    /** The time between two attempts to take a lock. */
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

    /** Makes a pair. Throws if the two files cannot share anything. The caller closes both descriptors. */
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
     * As {@link #of}, but until the descriptors are closed no other process deduplicates the target, or replaces either
     * file by a clone. Waits for another process's lock as long as the options' patience allows.
     */
    static ImagePair locked(Descriptor canonical, Descriptor target, DedupOptions options) throws IOException {
        of(canonical, target).lock(options);
        // Until the lock was free, another process may have changed the files: look again.
        return of(canonical, target);
    }

    /** Makes a pair of two files of the same length that no other process uses. */
    static ImagePair ofOurOwn(Descriptor canonical, Descriptor target) throws IOException {
        return new ImagePair(canonical, target, canonical.status(), target.status());
    }

    private void lock(DedupOptions options) throws IOException {
        long until = System.nanoTime() + options.patience().toNanos();
        // Locks in a fixed order, because otherwise two processes could wait for each other for ever.
        if (canonicalBefore.inode() < targetBefore.inode()) {
            lock(canonical, false, until, options);
            lock(target, true, until, options);
        } else {
            lock(target, true, until, options);
            lock(canonical, false, until, options);
        }
        if (canonical.status().links() == 0) {
            throw new NotDeduplicatedException(Reason.SIBLING_GONE, canonical + " was deleted or replaced");
        }
        if (target.status().links() == 0) {
            throw new NotDeduplicatedException(Reason.TARGET_GONE, target + " was deleted or replaced");
        }
    }

    private void lock(Descriptor file, boolean exclusive, long untilNanos, DedupOptions options) throws IOException {
        while (!file.tryLock(exclusive)) {
            if (untilNanos - System.nanoTime() <= 0) {
                throw new NotDeduplicatedException(Reason.BUSY, file
                        + " is locked: another process has been deduplicating "
                        + (exclusive ? "it, or with it," : "it") + " for " + options.patience().toMillis()
                        + " ms or more; run it again later");
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

    /** Throws if, as far as can be told, either file was written since. */
    void requireUnchanged() throws IOException {
        if (!canonical.status().isUnchangedSince(canonicalBefore)) {
            throw new NotDeduplicatedException(Reason.CANONICAL_CHANGED, canonical
                    + " was written while it was compared");
        }
        if (!target.status().isUnchangedSince(targetBefore)) {
            throw new NotDeduplicatedException(Reason.TARGET_CHANGED, target + " was written while it was compared");
        }
    }

    private void requireFit() throws NotDeduplicatedException {
        if (canonicalBefore.sameFile(targetBefore)) {
            throw new NotDeduplicatedException(Reason.SAME_FILE, canonical + " and " + target + " are one file");
        }
        if (canonicalBefore.sizeBytes() != targetBefore.sizeBytes()) {
            throw new NotDeduplicatedException(Reason.DIFFERENT_LENGTH, target + " has " + targetBefore.sizeBytes()
                    + " bytes and "
                    + canonical + " " + canonicalBefore.sizeBytes() + "; only images of equal length can be compared");
        }
        if (targetBefore.sizeBytes() == 0) {
            throw new NotDeduplicatedException(Reason.EMPTY, target + " is empty");
        }
        if (canonicalBefore.device() != targetBefore.device()) {
            throw new NotDeduplicatedException(Reason.UNSUPPORTED,
                    canonical + " and " + target + " lie on different filesystems, which cannot share blocks");
        }
    }

    private static void requirePlainFile(Descriptor file) throws IOException {
        if (!file.status().isRegularFile()) {
            throw new NotDeduplicatedException(Reason.NO_PLAIN_FILE, file
                    + " is not a plain file; only plain files share blocks");
        }
    }
}
