package io.microsnap.memory.image;

import io.microsnap.core.PageReader;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;

/** A lane that writes what it looks at: each chunk whole, or what the bitmap names of it. */
sealed class WritingLane implements Lanes.Lane permits LookingLane, WriterLane {
    private final PagePass.Plan plan;
    private final DirtyBitmap dirty;
    private final PagePass pass;
    private final PopulatedRuns runs;
    private ThreadStall stall;
    private long stalledNanos;

    /**
     * Made for one writing.
     *
     * @param dirty names what is looked at; null for everything
     * @param feed takes what is to be written; null to write it at once
     */
    WritingLane(PageReader reader, DirtyBitmap dirty, PagePass.Plan plan, WriteBehind.Feed feed) {
        this.plan = plan;
        this.dirty = dirty;
        pass = new PagePass(reader, plan, feed);
        runs = new PopulatedRuns(reader, dirty == null ? parts() : pass);
    }

    /** In a new image what was never populated is a hole already, and zero in its index. */
    private PopulatedRuns.Parts parts() {
        if (plan.base() != null || !plan.startsAsZeros() || plan.zeros().equals(Zeros.DENSE)) {
            return pass;
        }
        return new PopulatedRuns.Parts() {
            @Override
            public void populated(long offset, long lengthBytes) throws IOException {
                pass.populated(offset, lengthBytes);
            }

            @Override
            public void empty(long offset, long lengthBytes) {
                // Neither written nor indexed.
            }
        };
    }

    @Override
    public void ready() throws IOException {
        if (stall == null) {
            stall = ThreadStall.begin(plan.image().posix());
        }
    }

    @Override
    public void chunk(long offset, long lengthBytes) throws IOException {
        try {
            if (dirty == null) {
                runs.run(offset, lengthBytes);
            } else {
                dirty.runs(offset, lengthBytes, runs::run);
            }
            runs.flush();
        } catch (InternalError error) {
            throw pass.truncated(error);
        }
    }

    @Override
    public void finish() throws IOException {
        stalledNanos = stall.nanos();
    }

    /** How long it was kept from writing; known at the end. */
    long stalledNanos() {
        return stalledNanos;
    }

    final long pagesOffered() {
        return pass.pagesOffered();
    }

    final long pagesRecorded() {
        return pass.pagesRecorded();
    }

    final long pagesZero() {
        return pass.pagesZero();
    }

    final long bytesWritten() {
        return pass.bytesWritten();
    }
}
