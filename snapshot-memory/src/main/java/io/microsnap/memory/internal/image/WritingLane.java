package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;

/** A lane that writes what it looks at: each chunk whole, or what the bitmap names of it. */
sealed class WritingLane implements Lanes.Lane permits LookingLane, SideLane, WriterLane {
    private final PageReader reader;
    private final PagePass.Plan plan;
    private final DirtyBitmap dirty;
    private final Output output;
    private final Posix posix;
    /** Made by the thread that uses them, which is the first to touch their memory; null where it never looked. */
    private PagePass pass;
    private PopulatedRuns runs;
    private final boolean opensStall;
    private ThreadStall stall;
    private boolean begun;
    private long stalledNanos;

    /**
     * Made for one writing.
     *
     * @param dirty names what is looked at; null for everything
     * @param stall of the thread that it is going to run in; null to open one there
     */
    WritingLane(PageReader reader, DirtyBitmap dirty, PagePass.Plan plan, Output output, Posix posix,
            ThreadStall stall) {
        this.stall = stall;
        opensStall = stall == null;
        this.reader = reader;
        this.plan = plan;
        this.dirty = dirty;
        this.output = output;
        this.posix = posix;
    }

    /** In a new image what was never populated is a hole already, and zero in its index. */
    private PopulatedRuns.Parts parts() {
        boolean isHoleAlready = plan.startsAsZeros() && !plan.zeros().equals(Zeros.DENSE);
        if (!isHoleAlready || plan.base() != null || plan.checks() != null) {
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
        if (begun) {
            return;
        }
        begun = true;
        if (opensStall) {
            stall = ThreadStall.ofThisThread(posix);
        }
        stall.begin();
    }

    @Override
    public void chunk(long offset, long lengthBytes) throws IOException {
        if (pass == null) {
            pass = new PagePass(reader, plan, output);
            runs = new PopulatedRuns(reader, dirty == null ? parts() : pass);
        }
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
        closeStall();
    }

    @Override
    public void abandon(Throwable failure) {
        closeStall();
    }

    /** Frees its buffers, once every lane has ended: another one may write from them. */
    final void freeBuffers() {
        if (pass != null) {
            pass.freeBuffers();
        }
    }

    private void closeStall() {
        if (opensStall && stall != null) {
            stall.close();
        }
    }

    /** How long it was kept from writing; known at the end. */
    long stalledNanos() {
        return stalledNanos;
    }

    final long pagesOffered() {
        return pass == null ? 0 : pass.pagesOffered();
    }

    final long pagesRecorded() {
        return pass == null ? 0 : pass.pagesRecorded();
    }

    final long pagesZero() {
        return pass == null ? 0 : pass.pagesZero();
    }

    final long bytesWritten() {
        return pass == null ? 0 : pass.bytesWritten();
    }

    final long pagesDamagedInBase() {
        return pass == null ? 0 : pass.pagesDamagedInBase();
    }
}
