package io.microsnap.registry.internal.pull;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.file.Pages;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.registry.internal.format.Frame;
import io.microsnap.registry.internal.format.FrameCompression;
import io.microsnap.store.internal.PageIndex;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.util.Arrays;

/** Checks frames as they arrive, decompresses them, and writes their pages. Use it from one thread at a time. */
public final class FrameReader implements AutoCloseable {
    private final PageIndex index;
    private final GuestLayout layout;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment pages = arena.allocate(Frame.LARGEST_BYTES);
    private final MessageDigest sha256 = Digest.sha256();

    /** Checks pages against this index. */
    public FrameReader(PageIndex index) {
        this.index = index;
        layout = index.layout();
    }

    /** Returns whether these are the frame's bytes. */
    public boolean isIntact(Frame frame, MemorySegment stored) {
        sha256.update(stored.asByteBuffer());
        return Arrays.equals(sha256.digest(), frame.storedDigest());
    }

    /**
     * Writes the pages that the image takes of a frame that is intact.
     *
     * @param name names the frame in messages
     */
    public void write(Frame frame, MemorySegment stored, Descriptor image, String name) throws IOException {
        int lengthBytes = frame.pagesBytes(layout);
        MemorySegment content = stored;
        if (frame.compressed()) {
            content = pages.asSlice(0, lengthBytes);
            if (!FrameCompression.decompress(stored, content)) {
                throw new DamagedException(name + " does not decompress to the " + lengthBytes
                        + " bytes of its pages; another program pushed it");
            }
        }
        MemorySegment all = content;
        int pageBytes = layout.pageBytes();
        frame.<IOException>eachUsedRun((firstPage, inFrame, count) -> {
            long at = (long) inFrame * pageBytes;
            long length = Math.min((long) count * pageBytes, lengthBytes - at);
            for (int page = 0; page < count; page++) {
                long from = at + (long) page * pageBytes;
                if (index.crc(firstPage + page) != Pages.crc32c(all, from, Math.min(pageBytes, lengthBytes - from))) {
                    throw new DamagedException(name + ": page " + (firstPage + page) + " at image offset "
                            + (firstPage + page) * pageBytes + " does not match the page index; nothing was published");
                }
            }
            image.writeFully(all.asSlice(at, length), firstPage * pageBytes);
        });
    }

    @Override
    public void close() {
        arena.close();
    }
}
