package io.microsnap.memory.internal.image;

import io.microsnap.core.PageReader;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;
import java.util.Optional;

/** One thread's part in writing an image: examines chunk after chunk and gives its sink the pages to write. */
final class ImageWorker implements ChunkedWork.Worker {
    private final Optional<DirtyBitmap> pages;
    private final Sink sink;
    private final PagePass pass;
    private final PopulatedRuns runs;

    ImageWorker(PageReader reader, PagePass.Plan plan, Sink sink) {
        pages = plan.mode().pages();
        this.sink = sink;
        pass = new PagePass(reader, plan, sink);
        runs = new PopulatedRuns(reader, pass);
    }

    @Override
    public long chunkBytes() {
        return sink.chunkBytes();
    }

    @Override
    public void beforeChunk() throws IOException {
        sink.beginChunk();
    }

    @Override
    public void chunk(long offset, long lengthBytes) throws IOException {
        try {
            if (pages.isPresent()) {
                pages.get().runs(offset, lengthBytes, runs::run);
            } else {
                runs.run(offset, lengthBytes);
            }
            runs.flush();
        } catch (InternalError error) {
            throw pass.truncated(error);
        }
        sink.endChunk();
    }

    @Override
    public void finish() throws IOException {
        sink.finish();
    }

    @Override
    public void abandon(Throwable failure) {
        sink.abandon(failure);
    }

    PageCounts counts() {
        return pass.counts();
    }

    /** Frees its buffers, once every worker has ended. */
    void freeBuffers() {
        pass.freeBuffers();
    }
}
