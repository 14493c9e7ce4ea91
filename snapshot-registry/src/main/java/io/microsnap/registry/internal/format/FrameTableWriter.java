package io.microsnap.registry.internal.format;

import io.microsnap.core.SnapshotException;
import io.microsnap.store.internal.StoredManifest;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.util.List;

/**
 * Writes a frame table, frame after frame. It uses a spool file, because the table of a large guest is long; the list
 * of packs, whose digests are known last, is inserted before the frames at the end. Use it from one thread at a time.
 */
public final class FrameTableWriter implements AutoCloseable {
    private static final int MOST_HEADER_BYTES =
            FrameTable.HEADER_BYTES + Artifact.MOST_BLOBS * FrameTable.PACK_BYTES;
    private static final int BUFFER_BYTES = 256 << 10;
    private static final int MOST_FRAME_BYTES = FrameTable.FRAME_BYTES + 64 * 20;

    private final SpoolFile spool = SpoolFile.create();
    private final ByteBuffer buffer = ByteBuffer.allocate(BUFFER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    private long writtenTo = MOST_HEADER_BYTES;
    private long startsAt = -1;
    private long frames;
    private long pages;

    /** Begins an empty table. */
    public FrameTableWriter() throws IOException {
    }

    /** Adds a frame, in the order of pack and offset. */
    public void add(Frame frame) throws IOException {
        if (buffer.remaining() < MOST_FRAME_BYTES) {
            flush();
        }
        buffer.putInt(frame.pack()).putInt(frame.storedBytes()).putLong(frame.offset()).putLong(frame.used());
        buffer.put((byte) (frame.compressed() ? 1 : 0)).put((byte) (frame.runs().length / 2));
        buffer.put(frame.storedDigest()).put(frame.pagesDigest());
        long end = 0;
        for (int run = 0; run < frame.runs().length; run += 2) {
            number(frame.runs()[run] - end);
            number(frame.runs()[run + 1]);
            end = frame.runs()[run] + frame.runs()[run + 1];
        }
        frames++;
        pages += frame.usedCount();
    }

    /** Inserts the header and the packs in front, and ends the table. Returns the artifact's entry for it. */
    public Blob finish(StoredManifest manifest, List<Pack> packs) throws IOException {
        flush();
        int headerBytes = FrameTable.HEADER_BYTES + packs.size() * FrameTable.PACK_BYTES;
        ByteBuffer header = ByteBuffer.allocate(headerBytes).order(ByteOrder.LITTLE_ENDIAN);
        header.put(FrameTable.MAGIC).putInt(FrameTable.VERSION).putInt(manifest.layout().pageBytes());
        header.putLong(manifest.layout().lengthBytes());
        header.putLong(Long.reverseBytes(manifest.uuid().getMostSignificantBits()));
        header.putLong(Long.reverseBytes(manifest.uuid().getLeastSignificantBits()));
        header.putInt(manifest.indexRoot()).putInt(packs.size()).putLong(frames).putLong(pages);
        for (Pack pack : packs) {
            header.put(pack.digest().bytes()).putLong(pack.lengthBytes());
        }
        startsAt = (long) MOST_HEADER_BYTES - headerBytes;
        spool.write(header.flip(), startsAt);
        if (lengthBytes() > FrameTable.LARGEST_BYTES) {
            throw new SnapshotException("the frame table of " + manifest.reference() + " would have " + lengthBytes()
                    + " bytes; " + FrameTable.LARGEST_BYTES + " are allowed");
        }
        return Blob.ofFile(MediaTypes.FRAMES, digest(), lengthBytes(),
                new Blob.Owner(manifest.uuid(), Blob.Owner.FRAMES));
    }

    /** Returns the finished table's length. */
    public long lengthBytes() {
        return writtenTo - startsAt;
    }

    /** Reads the finished table. */
    public InputStream stream() {
        return spool.stream(startsAt, lengthBytes());
    }

    /** Maps the finished table, for as long as the arena lives. */
    public MemorySegment map(Arena arena) throws IOException {
        return spool.map(startsAt, lengthBytes(), arena);
    }

    private Digest digest() throws IOException {
        MessageDigest sha256 = Digest.sha256();
        byte[] part = new byte[BUFFER_BYTES];
        InputStream bytes = stream();
        for (int read = bytes.read(part); read > 0; read = bytes.read(part)) {
            sha256.update(part, 0, read);
        }
        return Digest.ofBytes(sha256.digest());
    }

    private void number(long value) {
        long rest = value;
        while (rest > 0x7f) {
            buffer.put((byte) (rest | 0x80));
            rest >>>= 7;
        }
        buffer.put((byte) rest);
    }

    private void flush() throws IOException {
        buffer.flip();
        int length = buffer.remaining();
        spool.write(buffer, writtenTo);
        writtenTo += length;
        buffer.clear();
    }

    @Override
    public void close() throws IOException {
        spool.close();
    }
}
