package io.microsnap.store.internal;

import io.microsnap.core.DamagedException;
import io.microsnap.core.internal.file.PageScratch;
import io.microsnap.core.internal.file.PopulatedRanges;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.util.Optional;

/**
 * Checks the pages that an image holds itself against the page index. The check of each base covers the base's pages.
 */
final class ImageCheck {
    private static final long READ_BYTES = 4L << 20;

    private final StoredSnapshot held;
    private final Descriptor image;
    private final PageChecks checks;
    private final Step step;
    private final PageScratch scratch = new PageScratch(READ_BYTES);
    private final long lengthBytes;
    private final long pageBytes;
    private long doneBytes;

    /** Receives how much of the image is done, and may stop the check. */
    interface Step {
        void done(long bytes) throws IOException;
    }

    private ImageCheck(StoredSnapshot held, Descriptor image, Step step) throws IOException {
        this.held = held;
        this.image = image;
        this.step = step;
        checks = new PageChecks(held.pageIndex());
        lengthBytes = held.layout().lengthBytes();
        pageBytes = held.layout().pageBytes();
    }

    /** Checks a copy of a snapshot's image; throws if a page is bad. */
    static void require(StoredSnapshot held, Descriptor image, Step step) throws IOException {
        held.pageIndex().verify();
        ImageCheck check = new ImageCheck(held, image, step);
        Optional<PageMap> map = held.pageMap();
        if (map.isPresent()) {
            map.get().verify();
        }
        if (held.base().isPresent()) {
            map.orElseThrow().runs((offset, length) -> check.read(offset, offset + length));
        } else {
            check.everything();
        }
        check.requireWhole();
    }

    private void everything() throws IOException {
        PopulatedRanges.ofFile(image, 0, lengthBytes, (offset, length) -> {
            // Reads each page that has any data whole, and only once.
            long from = Math.max(doneBytes, offset - offset % pageBytes);
            long to = Math.min(lengthBytes, Math.ceilDiv(offset + length, pageBytes) * pageBytes);
            checkHole(from);
            read(from, to);
        });
        checkHole(lengthBytes);
    }

    private void checkHole(long to) throws IOException {
        if (to > doneBytes) {
            checks.checkZero(doneBytes, to - doneBytes);
            done(to);
        }
    }

    private void read(long from, long to) throws IOException {
        for (long at = from; at < to;) {
            long length = Math.min(READ_BYTES, to - at);
            image.readFully(scratch.buffer().asSlice(0, length), at);
            checks.check(scratch.buffer(), 0, at, length);
            at += length;
            done(at);
        }
    }

    private void done(long bytes) throws IOException {
        doneBytes = bytes;
        step.done(bytes);
    }

    private void requireWhole() throws DamagedException {
        if (checks.badCount() > 0) {
            long first = checks.badOffsets().getFirst();
            throw new DamagedException(held + " is damaged and was not copied: " + checks.badCount() + " of its pages"
                    + " do not match its page index, the first at image offset " + first
                    + " (guest address 0x" + Long.toHexString(held.layout().guestAddress(first))
                    + "); run verify to list them, and use another snapshot");
        }
    }
}
