package io.microsnap.memory;

import io.microsnap.core.internal.file.Writeback;
import io.microsnap.memory.internal.image.Pace;
import java.io.IOException;
import java.time.Duration;

/** Copies memory ahead of the pause, in rounds, until little is left: see {@link CopyAhead}. */
final class CopyRounds {
    /** A smaller amount does not matter when the pause begins. */
    private static final long LEAST_BYTES_TO_WRITE_BACK = 16 << 20;

    private final CopyAhead options;
    private final StagedCapture staged;
    private final MemoryCopy copy;
    private int rounds;
    private long bytesCopied;
    private long pagesCopied;
    private long pagesAgain;
    private boolean writtenBack;

    CopyRounds(CopyAhead options, StagedCapture staged, MemoryCopy copy) {
        this.options = options;
        this.staged = staged;
        this.copy = copy;
    }

    /** Called between rounds; throws if there must be no further round. */
    @FunctionalInterface
    interface Wanted {
        void require() throws IOException;
    }

    /** Copies. */
    CopiedAhead run(Wanted wanted) throws IOException {
        long start = System.nanoTime();
        CopiedAhead.Ended ended = rounds(wanted);
        return new CopiedAhead(rounds, bytesCopied, pagesCopied, pagesAgain, writtenBack, ended,
                Duration.ofNanos(System.nanoTime() - start));
    }

    private CopiedAhead.Ended rounds(Wanted wanted) throws IOException {
        long pagesBefore = Long.MAX_VALUE;
        for (int number = 1;; number++) {
            wanted.require();
            MemoryWritten written = round();
            boolean goOn = options.listener().copied(number, written);
            if (!goOn) {
                return CopiedAhead.Ended.ASKED;
            }
            if (isEnough(written)) {
                return CopiedAhead.Ended.ENOUGH;
            }
            if (written.pagesOffered() >= pagesBefore) {
                return CopiedAhead.Ended.NO_SMALLER;
            }
            if (number == options.mostRounds()) {
                return CopiedAhead.Ended.MOST_ROUNDS;
            }
            pagesBefore = written.pagesOffered();
            if (written.bytesWritten() >= LEAST_BYTES_TO_WRITE_BACK) {
                writeBackBeforeTheKernelDoes();
            }
        }
    }

    /**
     * Writes the image back before the kernel does: the kernel may begin at any time, and the pause would then wait at
     * each page that it writes.
     */
    private void writeBackBeforeTheKernelDoes() throws IOException {
        if (Writeback.isUnderWay(staged.image().posix())) {
            staged.image().syncData();
            writtenBack = true;
        }
    }

    private boolean isEnough(MemoryWritten written) {
        return written.bytesWritten() <= options.enoughBytes() || written.time().compareTo(options.enoughTime()) <= 0;
    }

    private MemoryWritten round() throws IOException {
        copy.harvestRound();
        Pace pace = options.mostBytesASecond().isPresent()
                ? Pace.of(options.mostBytesASecond().getAsLong()) : Pace.unlimited();
        MemoryWritten written = copy.write(pace);
        rounds++;
        bytesCopied += written.bytesWritten();
        pagesCopied += written.pagesOffered();
        pagesAgain += copy.pagesAgain();
        return written;
    }
}
