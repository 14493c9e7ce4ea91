package io.microsnap.dedup;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Stat;
import io.microsnap.dedup.DedupOutcome.Reason;
import java.io.IOException;

/** A canonical image and a target of the same length, both open, and what they were when work on them began. */
final class ImagePair {
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
        // From here on, whoever writes through a mapping that is already there changes the time of modification.
        canonical.syncData();
        target.syncData();
        ImagePair pair = new ImagePair(canonical, target, canonical.status(), target.status());
        pair.requireFit();
        pair.lock();
        return pair;
    }

    /** Two files that nobody else knows of, of the same length. */
    static ImagePair ofOurOwn(Descriptor canonical, Descriptor target) throws IOException {
        return new ImagePair(canonical, target, canonical.status(), target.status());
    }

    /** Until the descriptors are closed, nobody else deduplicates the target, or replaces either by a clone. */
    private void lock() throws IOException {
        if (!canonical.tryLock(false)) {
            throw new LeaveAlone(Reason.BUSY, canonical + " is locked: somebody is about to replace it");
        }
        if (!target.tryLock(true)) {
            throw new LeaveAlone(Reason.BUSY, target + " is locked: somebody else is deduplicating it");
        }
        if (canonical.status().links() == 0) {
            throw new LeaveAlone(Reason.SIBLING_GONE, canonical + " was deleted or replaced");
        }
        if (target.status().links() == 0) {
            throw new LeaveAlone(Reason.TARGET_GONE, target + " was deleted or replaced");
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
