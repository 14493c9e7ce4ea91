package io.microsnap.dedup;

import io.microsnap.core.DamagedException;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.internal.Steps;
import java.io.IOException;

/**
 * Builds the target anew: a clone of the canonical image, with the target's own blocks, or else its bytes, wherever the
 * two differ. Then the clone takes the target's place.
 */
final class CloneAndSwap implements AutoCloseable {
    private final ImagePair pair;
    private final Reflink reflink;
    private final Workplace.Successor clone;
    /** Where a part keeps a whole extent alive, taking over blocks would free nothing. */
    private boolean takesBlocks;

    private CloneAndSwap(ImagePair pair, Reflink reflink, Workplace.Successor clone, boolean takesBlocks) {
        this.pair = pair;
        this.reflink = reflink;
        this.clone = clone;
        this.takesBlocks = takesBlocks;
    }

    /** Clones the canonical image; finds out that this is impossible before anything is read. */
    static CloneAndSwap begin(ImagePair pair, Reflink reflink, Workplace workplace) throws IOException {
        if (pair.targetBefore().links() > 1) {
            throw new LeaveAlone(Reason.OTHER_NAMES, pair.target() + " has " + pair.targetBefore().links()
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

    /** Reads clone and target once more, whole. */
    void requireEqual(int pageBytes, int threads, Pacer pacer, Steps steps) throws IOException {
        Comparison again = new Comparison(ImagePair.ofOurOwn(descriptor(), pair.target()), pageBytes);
        again.verdicts().fill(0, again.verdicts().pageCount(), Verdict.UNREAD);
        again.bytes(threads, pacer, steps.silent());
        if (again.verdicts().count(Verdict.DIFFERENT) > 0) {
            throw new DamagedException(pair.target() + ": the clone that was to replace it differs from it in "
                    + again.verdicts().count(Verdict.DIFFERENT) + " pages; it is left as it was."
                    + " Do not trust this machine's memory, storage or kernel");
        }
    }

    /** Puts the clone in the target's place, with all the target's attributes, unless somebody wrote meanwhile. */
    void publish() throws IOException {
        FileAttributes.copy(pair.target(), pair.targetBefore(), descriptor());
        pair.requireUnchanged();
        if (!clone.takePlaceOf(pair.targetBefore())) {
            throw new LeaveAlone(
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

    /** The clone; after publishing, the target. */
    Descriptor descriptor() {
        return clone.descriptor();
    }

    /** Removes the clone, unless it has taken the target's place. */
    @Override
    public void close() throws IOException {
        clone.close();
    }
}
