package io.microsnap.registry.internal.format;

import io.microsnap.core.DamagedException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.internal.StoredManifest;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.UUID;

/**
 * Says which page of an image is in which frame of which pack. It is read in place, frame after frame; only the list of
 * packs is kept. A table that is not exactly in the format is refused before any frame is handed out.
 */
public final class FrameTable {
    /** The longest table that is read. */
    public static final long LARGEST_BYTES = 1L << 30;

    static final byte[] MAGIC = "msnapfrm".getBytes(StandardCharsets.US_ASCII);
    static final int VERSION = 1;
    static final int HEADER_BYTES = 64;
    static final int AT_VERSION = 8;
    static final int AT_PAGE_BYTES = 12;
    static final int AT_IMAGE_BYTES = 16;
    static final int AT_UUID = 24;
    static final int AT_ROOT = 40;
    static final int AT_PACKS = 44;
    static final int AT_FRAMES = 48;
    static final int AT_PAGES = 56;
    static final int PACK_BYTES = Digest.BYTES + Long.BYTES;
    static final int FRAME_BYTES = 26 + 2 * Digest.BYTES;

    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong BIG_LONG =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    private final String name;
    private final MemorySegment bytes;
    private final GuestLayout layout;
    private final List<Pack> packs;
    private final long frameCount;
    private final long pageCount;

    /** Takes one frame after another. */
    @FunctionalInterface
    public interface Frames {
        /** Takes a frame, which stays as it is. */
        void accept(Frame frame) throws IOException;
    }

    private FrameTable(String name, MemorySegment bytes, GuestLayout layout, List<Pack> packs) {
        this.name = name;
        this.bytes = bytes;
        this.layout = layout;
        this.packs = List.copyOf(packs);
        frameCount = bytes.get(LONG, AT_FRAMES);
        pageCount = bytes.get(LONG, AT_PAGES);
    }

    /**
     * Reads all of a table and checks it.
     *
     * @param name names it in messages
     * @param bytes the table's bytes, which the caller keeps valid while the table is used
     * @param manifest the manifest of the snapshot that it must belong to
     * @throws DamagedException if it is not exactly in the format
     */
    public static FrameTable open(String name, MemorySegment bytes, StoredManifest manifest) throws IOException {
        if (bytes.byteSize() < HEADER_BYTES || bytes.byteSize() > LARGEST_BYTES) {
            throw new DamagedException(name + ": a frame table has " + HEADER_BYTES + " to " + LARGEST_BYTES
                    + " bytes, this one " + bytes.byteSize());
        }
        if (bytes.asSlice(0, MAGIC.length).mismatch(MemorySegment.ofArray(MAGIC)) >= 0) {
            throw new DamagedException(name + " does not start like a frame table");
        }
        GuestLayout layout = manifest.layout();
        require(name, "version", bytes.get(INT, AT_VERSION), VERSION);
        require(name, "page size", bytes.get(INT, AT_PAGE_BYTES), layout.pageBytes());
        require(name, "image length", bytes.get(LONG, AT_IMAGE_BYTES), layout.lengthBytes());
        UUID uuid = new UUID(bytes.get(BIG_LONG, AT_UUID), bytes.get(BIG_LONG, AT_UUID + Long.BYTES));
        if (!uuid.equals(manifest.uuid())) {
            throw new DamagedException(name + " is of the snapshot with uuid " + uuid + ", not of "
                    + manifest.reference());
        }
        require(name, "root", bytes.get(INT, AT_ROOT), manifest.indexRoot());
        FrameTable table = new FrameTable(name, bytes, layout, packs(name, bytes));
        try (PageSet given = PageSet.of(Posix.host(), layout.pageCount())) {
            table.check(given);
        }
        return table;
    }

    private static void require(String name, String what, long found, long expected) throws DamagedException {
        if (found != expected) {
            throw new DamagedException(name + ": its " + what + " is " + found + " but should be " + expected);
        }
    }

    private static List<Pack> packs(String name, MemorySegment bytes) throws DamagedException {
        int count = bytes.get(INT, AT_PACKS);
        if (count < 0 || count > Artifact.MOST_BLOBS
                || bytes.byteSize() < HEADER_BYTES + (long) count * PACK_BYTES) {
            throw new DamagedException(name + ": it cannot have " + count + " packs");
        }
        List<Pack> packs = new ArrayList<>();
        Set<Digest> seen = new HashSet<>();
        for (int pack = 0; pack < count; pack++) {
            long at = HEADER_BYTES + (long) pack * PACK_BYTES;
            Digest digest = Digest.ofBytes(bytes.asSlice(at, Digest.BYTES).toArray(ValueLayout.JAVA_BYTE));
            long length = bytes.get(LONG, at + Digest.BYTES);
            if (length <= 0 || length > Pack.LARGEST_BYTES || !seen.add(digest)) {
                throw new DamagedException(name + ": pack " + pack + " occurs twice, or cannot have " + length
                        + " bytes");
            }
            packs.add(new Pack(digest, length));
        }
        return packs;
    }

    /** Returns the packs, by their numbers. */
    public List<Pack> packs() {
        return packs;
    }

    /** Returns the layout of the image. */
    public GuestLayout layout() {
        return layout;
    }

    /** Returns how many pages its frames contain. */
    public long pageCount() {
        return pageCount;
    }

    /** Names every frame, by pack and offset. */
    public void frames(Frames frames) throws IOException {
        Reader reader = new Reader();
        for (long frame = 0; frame < frameCount; frame++) {
            frames.accept(reader.next());
        }
    }

    private void check(PageSet given) throws IOException {
        Reader reader = new Reader();
        if (frameCount < 0 || frameCount > (bytes.byteSize() - reader.at) / FRAME_BYTES) {
            throw new DamagedException(name + ": it is too short for " + frameCount + " frames");
        }
        boolean[] used = new boolean[packs.size()];
        for (long frame = 0; frame < frameCount; frame++) {
            Frame next = reader.next();
            used[next.pack()] = true;
            next.<IOException>eachUsedRun((firstPage, inFrame, count) -> {
                for (long page = firstPage; page < firstPage + count; page++) {
                    if (!given.add(page)) {
                        throw new DamagedException(name + ": page " + page + " is given twice");
                    }
                }
            });
        }
        if (reader.at != bytes.byteSize()) {
            throw new DamagedException(name + ": " + (bytes.byteSize() - reader.at)
                    + " bytes follow its last frame");
        }
        require(name, "number of pages", pageCount, given.size());
        for (int pack = 0; pack < used.length; pack++) {
            if (!used[pack]) {
                throw new DamagedException(name + ": no frame is in pack " + pack);
            }
        }
    }

    /** Reads frames one after another, and refuses the first that is not in the format. */
    private final class Reader {
        private long at = HEADER_BYTES + (long) packs.size() * PACK_BYTES;
        private int pack;
        private long end;
        private long frame;

        Frame next() throws DamagedException {
            if (bytes.byteSize() - at < FRAME_BYTES) {
                throw refused("it is cut short");
            }
            int itsPack = bytes.get(INT, at);
            int storedBytes = bytes.get(INT, at + 4);
            long offset = bytes.get(LONG, at + 8);
            long used = bytes.get(LONG, at + 16);
            int encoding = bytes.get(ValueLayout.JAVA_BYTE, at + 24);
            int runCount = Byte.toUnsignedInt(bytes.get(ValueLayout.JAVA_BYTE, at + 25));
            byte[] stored = bytes.asSlice(at + 26, Digest.BYTES).toArray(ValueLayout.JAVA_BYTE);
            byte[] pages = bytes.asSlice(at + 26 + Digest.BYTES, Digest.BYTES).toArray(ValueLayout.JAVA_BYTE);
            at += FRAME_BYTES;
            place(itsPack, offset, storedBytes);
            if (encoding < 0 || encoding > 1) {
                throw refused("unknown encoding " + encoding);
            }
            Frame result = new Frame(itsPack, offset, storedBytes, encoding == 1, used, runs(runCount), stored, pages);
            int pagesBytes = result.pagesBytes(layout);
            if (result.compressed() ? storedBytes >= pagesBytes : storedBytes != pagesBytes) {
                throw refused("it cannot have " + storedBytes + " bytes for " + pagesBytes + " bytes of pages");
            }
            int count = result.pageCount();
            if (used == 0 || (count < Long.SIZE && used >>> count != 0)) {
                throw refused("of its " + count + " pages it gives none, or one that it does not have");
            }
            frame++;
            return result;
        }

        private void place(int itsPack, long offset, int storedBytes) throws DamagedException {
            if (itsPack < pack || itsPack >= packs.size()) {
                throw refused("it is out of order, or in no pack: " + itsPack);
            }
            if (itsPack > pack) {
                pack = itsPack;
                end = 0;
            }
            if (storedBytes <= 0 || storedBytes > Frame.LARGEST_BYTES || offset < end
                    || offset > packs.get(pack).lengthBytes() - storedBytes) {
                throw refused(storedBytes + " bytes at " + offset + " overlap or are not in pack " + pack);
            }
            end = offset + storedBytes;
        }

        private long[] runs(int runCount) throws DamagedException {
            int mostPages = Frame.LARGEST_BYTES / layout.pageBytes();
            if (runCount == 0 || runCount > mostPages) {
                throw refused("it cannot have " + runCount + " runs of pages");
            }
            long[] runs = new long[2 * runCount];
            long page = 0;
            long pages = 0;
            for (int run = 0; run < runCount; run++) {
                long gap = number();
                long count = number();
                if ((run > 0 && gap == 0) || count == 0 || gap > layout.pageCount() || count > mostPages) {
                    throw refused("its runs of pages touch, or are empty or too long");
                }
                page += gap;
                runs[2 * run] = page;
                runs[2 * run + 1] = count;
                page += count;
                pages += count;
            }
            if (pages > mostPages || page > layout.pageCount()) {
                throw refused("it has " + pages + " pages up to " + page + " of " + layout.pageCount());
            }
            return runs;
        }

        private long number() throws DamagedException {
            long number = 0;
            for (int shift = 0; shift < Long.SIZE - 1; shift += 7) {
                if (at >= bytes.byteSize()) {
                    throw refused("it is cut short");
                }
                byte part = bytes.get(ValueLayout.JAVA_BYTE, at++);
                number |= (long) (part & 0x7f) << shift;
                if (part >= 0) {
                    if (part == 0 && shift > 0) {
                        throw refused("a number in it has not its shortest form");
                    }
                    return number;
                }
            }
            throw refused("a number in it is too large");
        }

        private DamagedException refused(String why) {
            return new DamagedException(name + ", frame " + frame + ": " + why);
        }
    }
}
