package io.microsnap.dedup;

import io.microsnap.core.DamagedException;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.Steps;
import java.io.IOException;

/**
 * Rebuilds the target: clones the canonical image and, where the two differ, gives the clone the target's blocks, or
 * else its bytes. Then the clone replaces the target.
 */
final class CloneAndSwap implements AutoCloseable {
    private final ImagePair pair;
    private final Reflink reflink;
    private final Workplace.Successor clone;
    /** Whether to take over blocks; where a part of an extent keeps all of it allocated, that would free nothing. */
    private boolean takesBlocks;

    private CloneAndSwap(ImagePair pair, Reflink reflink, Workplace.Successor clone, boolean takesBlocks) {
        this.pair = pair;
        this.reflink = reflink;
        this.clone = clone;
        this.takesBlocks = takesBlocks;
    }

    /** Clones the canonical image; fails before reading anything if that is impossible. */
    static CloneAndSwap begin(ImagePair pair, Reflink reflink, Workplace workplace) throws IOException {
        if (pair.targetBefore().links() > 1) {
            throw new NotDeduplicatedException(Reason.OTHER_NAMES, pair.target() + " has " + pair.targetBefore().links()
                    + " names, and only one of them would get the new file; share in place instead");
        }
        boolean takesBlocks = !Allocation.of(pair.target()).freesWholeExtentsOnly();
        return new CloneAndSwap(pair, reflink, workplace.clone(pair.canonical()), takesBlocks);
    }

    /** Makes the clone equal to the target. */
    void build(PageVerdicts verdicts, Pacer pacer, Steps steps) throws IOException {
        try (RangeCopy copy = new RangeCopy(pair.target(), descriptor(), pacer)) {
            verdicts.runs((verdict, offset, lengthBytes) -> {
                if (verdict == Verdict.DIFFERENT) {
                    take(offset, lengthBytes, copy, steps);
                } else if (verdict == Verdict.CLEARED && !Extents.punch(descriptor(), offset, lengthBytes)) {
                    copy.copy(offset, lengthBytes, steps);
                }
            });
        }
    }

    /** Reads the whole clone and target once more; throws if they differ. */
    void requireEqual(int pageBytes, int threads, Pacer pacer, Steps steps) throws IOException {
        Comparison again = new Comparison(ImagePair.ofOurOwn(descriptor(), pair.target()), pageBytes);
        again.verdicts().fill(0, again.verdicts().pageCount(), Verdict.UNREAD);
        again.bytes(threads, pacer, steps.silent());
        if (again.verdicts().count(Verdict.DIFFERENT) > 0) {
            throw new DamagedException(pair.target() + ": the clone made to replace it differs from it in "
                    + again.verdicts().count(Verdict.DIFFERENT) + " pages; it is left as it was."
                    + " Do not trust this machine's memory, storage or kernel");
        }
    }

    /** Replaces the target by the clone, with all the target's attributes, unless the target was written meanwhile. */
    void publish() throws IOException {
        FileAttributes.copy(pair.target(), pair.targetBefore(), descriptor());
        pair.requireUnchanged();
        if (!clone.takePlaceOf(pair.targetBefore())) {
            throw new NotDeduplicatedException(
                    Reason.TARGET_CHANGED, pair.target() + " was written or replaced while it was compared");
        }
    }

    private void take(long offset, long lengthBytes, RangeCopy copy, Steps steps) throws IOException {
        if (takesBlocks) {
            takesBlocks = reflink.cloneRange(pair.target(), offset, descriptor(), offset, lengthBytes).isCloned();
        }
        if (takesBlocks) {
            steps.did(lengthBytes);
        } else {
            copy.copy(offset, lengthBytes, steps);
        }
    }

    /** Returns the clone, which is the target after publication. */
    Descriptor descriptor() {
        return clone.descriptor();
    }

    /** Removes the clone, unless it has replaced the target. */
    @Override
    public void close() throws IOException {
        clone.close();
    }
}
