package io.microsnap.dirty;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.RangeConsumer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.agrona.concurrent.UnsafeBuffer;

/**
 * Which parts of a guest's memory are dirty: one bit a page, or a block of pages, off the heap, for up to 64 TiB at
 * 4 KiB. Its memory lives as long as the bitmap is reachable; there is nothing to close.
 *
 * <p>Any number of threads may set bits while one drains them: each bit set is either in what was drained or still in
 * the bitmap, never lost. Scans and counts beside setters see each bit set before they began. {@link #clear()}
 * forgets what is set at the same time.
 *
 * <p>A bit that is already set is only read. A thread that writes memory and then sets its bit, beside one that
 * drains the bit and then reads the memory, needs a full fence in between: {@link DirtyTracker#markWritten} has it.
 *
 * <p>Questions about what lies outside the image are answered with {@code false}; asking for a change there is a
 * programming mistake, an {@link IndexOutOfBoundsException}.
 */
public final class DirtyBitmap {
    /** The largest bitmap: two buffers of 1 GiB. */
    static final long MOST_BLOCKS = 1L << 34;

    private static final int CHUNK_WORDS_SHIFT = 27;
    private static final long CHUNK_WORDS = 1L << CHUNK_WORDS_SHIFT;
    private static final int CHUNK_WORD_MASK = (int) CHUNK_WORDS - 1;
    private static final int STRIDE_WORDS = 8;
    private static final long ALL = -1L;
    private static final ValueLayout.OfLong BITS =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final GuestLayout layout;
    private final int blockShift;
    private final long blockCount;
    private final long wordCount;
    private final UnsafeBuffer[] chunks;

    private DirtyBitmap(GuestLayout layout, long blockBytes) {
        if (Long.bitCount(blockBytes) != 1 || blockBytes < layout.pageBytes()) {
            throw new IllegalArgumentException("a block of " + blockBytes + " bytes over pages of "
                    + layout.pageBytes() + "; a block is a power of two and at least a page");
        }
        this.layout = layout;
        blockShift = Long.numberOfTrailingZeros(blockBytes);
        blockCount = ((layout.lengthBytes() - 1) >>> blockShift) + 1;
        if (blockCount > MOST_BLOCKS) {
            throw new IllegalArgumentException("a guest of " + layout.lengthBytes() + " bytes has " + blockCount
                    + " blocks of " + blockBytes + "; a bitmap holds " + MOST_BLOCKS);
        }
        wordCount = (blockCount + Long.SIZE - 1) >>> 6;
        chunks = new UnsafeBuffer[(int) ((wordCount + CHUNK_WORDS - 1) >>> CHUNK_WORDS_SHIFT)];
        for (int chunk = 0; chunk < chunks.length; chunk++) {
            long bytes = chunkWords(chunk) * Long.BYTES;
            // Wrapping the byte buffer, not its address, keeps the memory alive as long as the UnsafeBuffer.
            chunks[chunk] = new UnsafeBuffer(Arena.ofAuto().allocate(bytes, Long.BYTES).asByteBuffer());
        }
    }

    /** A clean bitmap with a bit for each page. */
    public static DirtyBitmap of(GuestLayout layout) {
        return new DirtyBitmap(layout, layout.pageBytes());
    }

    /**
     * A clean bitmap with a bit for each block of the image.
     *
     * @param layout the guest
     * @param blockBytes a power of two, at least a page; the last block may reach past the end of the image
     */
    public static DirtyBitmap of(GuestLayout layout, long blockBytes) {
        return new DirtyBitmap(layout, blockBytes);
    }

    public GuestLayout layout() {
        return layout;
    }

    /** Refuses, as a programming mistake, to be used for another guest than its own. */
    public void requireLayout(GuestLayout other) {
        if (!layout.equals(other)) {
            throw new IllegalArgumentException("a bitmap of " + layout + " cannot be used for " + other);
        }
    }

    /** How much of the image a bit stands for. */
    public long blockBytes() {
        return 1L << blockShift;
    }

    /** The number of bits: blocks of the image, a last partial one included. */
    public long blockCount() {
        return blockCount;
    }

    /** Sets the bit of the block that holds the image offset; says whether it was clean before. */
    public boolean set(long imageOffset) {
        if (imageOffset < 0 || imageOffset >= layout.lengthBytes()) {
            throw outside(imageOffset, 1);
        }
        long block = imageOffset >>> blockShift;
        UnsafeBuffer chunk = chunks[(int) (block >>> 6 >>> CHUNK_WORDS_SHIFT)];
        int index = index(block >>> 6);
        long bit = 1L << block;
        long word = chunk.getLongVolatile(index);
        while ((word & bit) == 0) {
            if (chunk.compareAndSetLong(index, word, word | bit)) {
                return true;
            }
            word = chunk.getLongVolatile(index);
        }
        return false;
    }

    /** Sets the bits of all blocks that the range touches. An empty range touches none. */
    public void mark(long imageOffset, long lengthBytes) {
        checkRange(imageOffset, lengthBytes);
        if (lengthBytes > 0) {
            setBlocks(imageOffset >>> blockShift, ((imageOffset + lengthBytes - 1) >>> blockShift) + 1);
        }
    }

    /** Whether the block that holds the image offset is dirty; {@code false} outside the image. */
    public boolean test(long imageOffset) {
        if (imageOffset < 0 || imageOffset >= layout.lengthBytes()) {
            return false;
        }
        long block = imageOffset >>> blockShift;
        return (volatileWord(block >>> 6) & (1L << block)) != 0;
    }

    /** Cleans everything. */
    public void clear() {
        for (int chunk = 0; chunk < chunks.length; chunk++) {
            chunks[chunk].setMemory(0, (int) (chunkWords(chunk) * Long.BYTES), (byte) 0);
        }
    }

    /** Cleans the blocks that lie wholly inside the range; one that the range only touches keeps its bit. */
    public void clear(long imageOffset, long lengthBytes) {
        checkRange(imageOffset, lengthBytes);
        long end = imageOffset + lengthBytes;
        long from = (imageOffset + blockBytes() - 1) >>> blockShift;
        long to = end == layout.lengthBytes() ? blockCount : end >>> blockShift;
        for (long block = from; block < to; ) {
            long last = Math.min(to, (block | 63) + 1);
            andWord(block >>> 6, ~mask(block, last));
            block = last;
        }
    }

    /** The number of dirty blocks. */
    public long count() {
        long count = 0;
        for (UnsafeBuffer chunk : chunks) {
            int bytes = chunk.capacity();
            for (int index = 0; index < bytes; index += Long.BYTES) {
                count += Long.bitCount(chunk.getLong(index));
            }
        }
        return count;
    }

    /** The number of dirty blocks that the range touches. */
    public long count(long imageOffset, long lengthBytes) {
        checkRange(imageOffset, lengthBytes);
        if (lengthBytes == 0) {
            return 0;
        }
        long to = ((imageOffset + lengthBytes - 1) >>> blockShift) + 1;
        long count = 0;
        for (long block = imageOffset >>> blockShift; block < to; ) {
            long last = Math.min(to, (block | 63) + 1);
            count += Long.bitCount(volatileWord(block >>> 6) & mask(block, last));
            block = last;
        }
        return count;
    }

    /** Whether no bit is set. */
    public boolean isEmpty() {
        return nextWordWithBits(0) == wordCount;
    }

    /**
     * Hands out the dirty parts of the image as runs, in ascending order, clipped to the image. Allocates nothing.
     *
     * @param bridgeBytes clean gaps of at most this length are taken into the run; zero keeps runs exact
     * @param runs takes image offset and length; what it throws ends the scan
     */
    public void runs(long bridgeBytes, RangeConsumer runs) throws IOException {
        if (bridgeBytes < 0) {
            throw new IllegalArgumentException("a bridge of " + bridgeBytes + " bytes");
        }
        long bridge = bridgeBytes >>> blockShift;
        long from = 0;
        long to = 0;
        for (long word = nextWordWithBits(0); word < wordCount; word = nextWordWithBits(word + 1)) {
            long bits = word(word);
            while (bits != 0) {
                int low = Long.numberOfTrailingZeros(bits);
                long withoutRun = bits + (1L << low);
                int high = withoutRun == 0 ? Long.SIZE : Long.numberOfTrailingZeros(withoutRun & ~bits);
                bits = withoutRun & bits;
                long start = (word << 6) + low;
                if (to == 0) {
                    from = start;
                } else if (start - to > bridge) {
                    emit(from, to, runs);
                    from = start;
                }
                to = (word << 6) + high;
            }
        }
        if (to > 0) {
            emit(from, to, runs);
        }
    }

    /**
     * Adds another bitmap of the same layout. Where blocks differ in size, a coarse bit becomes all the finer ones, and
     * a fine bit the coarser one around it.
     */
    public void or(DirtyBitmap other) {
        requireLayout(other.layout);
        for (long word = other.nextWordWithBits(0); word < other.wordCount; word = other.nextWordWithBits(word + 1)) {
            add(other, word, other.volatileWord(word));
        }
    }

    /**
     * Moves every bit into another bitmap of the same layout, folding as {@link #or} does. A bit set meanwhile is moved
     * or stays here. One thread at a time drains.
     */
    public void drainInto(DirtyBitmap target) {
        target.requireLayout(layout);
        if (target == this) {
            throw new IllegalArgumentException("a bitmap cannot be drained into itself");
        }
        for (long word = nextWordWithBits(0); word < wordCount; word = nextWordWithBits(word + 1)) {
            long bits = chunks[(int) (word >>> CHUNK_WORDS_SHIFT)].getAndSetLong(index(word), 0);
            target.add(this, word, bits);
        }
    }

    /**
     * Adds a hypervisor's log: bit {@code n} of the segment, counted from the lowest bit of its first byte, stands for
     * the {@code n}th page from the image offset on.
     *
     * @param imageOffset where the first page lies; on a page, in any place of a word
     * @param bits at least {@code pageCount} bits; what follows them is ignored
     * @param pageCount pages of the layout's size
     */
    public void orBits(long imageOffset, MemorySegment bits, long pageCount) {
        if (imageOffset % layout.pageBytes() != 0) {
            throw new IllegalArgumentException("image offset " + imageOffset + " is not on a page of "
                    + layout.pageBytes() + " bytes");
        }
        if (pageCount < 0 || imageOffset < 0 || imageOffset / layout.pageBytes() + pageCount > layout.pageCount()) {
            throw new IndexOutOfBoundsException(pageCount + " pages from image offset " + imageOffset
                    + " in an image of " + layout.pageCount());
        }
        if (bits.byteSize() < (pageCount + 7) / 8) {
            throw new IndexOutOfBoundsException(bits.byteSize() + " bytes do not hold " + pageCount + " bits");
        }
        int pagesShift = blockShift - Integer.numberOfTrailingZeros(layout.pageBytes());
        long first = imageOffset / layout.pageBytes();
        for (long page = 0; page < pageCount; page += Long.SIZE) {
            long word = logWord(bits, page, pageCount);
            if (word == 0) {
                continue;
            }
            if (pagesShift == 0) {
                orShifted(first + page, word);
            } else {
                orFolded(first + page, word, pagesShift);
            }
        }
    }

    /** A bitmap of its own with the same bits. */
    public DirtyBitmap copy() {
        return folded(blockBytes());
    }

    /** A bitmap of its own in another block size: see {@link #or}. */
    public DirtyBitmap folded(long otherBlockBytes) {
        DirtyBitmap result = new DirtyBitmap(layout, otherBlockBytes);
        result.or(this);
        return result;
    }

    @Override
    public String toString() {
        return count() + " of " + blockCount + " blocks of " + blockBytes() + " bytes dirty";
    }

    /** Sets the bits of the blocks {@code [from, to)}. */
    private void setBlocks(long from, long to) {
        for (long block = from; block < to; ) {
            long last = Math.min(to, (block | 63) + 1);
            orWord(block >>> 6, mask(block, last));
            block = last;
        }
    }

    /** Adds a word of another bitmap of the same layout. */
    private void add(DirtyBitmap other, long word, long bits) {
        int shift = other.blockShift - blockShift;
        if (shift == 0) {
            orWord(word, bits);
        } else if (shift < 0) {
            orFolded(word << 6, bits, -shift);
        } else {
            for (long rest = bits; rest != 0; rest &= rest - 1) {
                long coarse = (word << 6) + Long.numberOfTrailingZeros(rest);
                setBlocks(coarse << shift, Math.min(blockCount, (coarse + 1) << shift));
            }
        }
    }

    /** Sets the block around each of up to 64 finer bits, of which the first is at the index {@code fine}. */
    private void orFolded(long fine, long bits, int shift) {
        long rest = bits;
        while (rest != 0) {
            long position = fine + Long.numberOfTrailingZeros(rest);
            long coarse = position >>> shift;
            orWord(coarse >>> 6, 1L << coarse);
            long nextCoarse = ((coarse + 1) << shift) - fine;
            rest = nextCoarse >= Long.SIZE ? 0 : rest & (ALL << nextCoarse);
        }
    }

    /** Sets up to 64 bits, of which the first belongs at the index {@code block}. */
    private void orShifted(long block, long bits) {
        int shift = (int) (block & 63);
        orWord(block >>> 6, bits << shift);
        if (shift != 0 && bits >>> -shift != 0) {
            orWord((block >>> 6) + 1, bits >>> -shift);
        }
    }

    private void orWord(long word, long mask) {
        UnsafeBuffer chunk = chunks[(int) (word >>> CHUNK_WORDS_SHIFT)];
        int index = index(word);
        long old = chunk.getLongVolatile(index);
        while ((old | mask) != old && !chunk.compareAndSetLong(index, old, old | mask)) {
            old = chunk.getLongVolatile(index);
        }
    }

    private void andWord(long word, long mask) {
        UnsafeBuffer chunk = chunks[(int) (word >>> CHUNK_WORDS_SHIFT)];
        int index = index(word);
        long old = chunk.getLongVolatile(index);
        while ((old & mask) != old && !chunk.compareAndSetLong(index, old, old & mask)) {
            old = chunk.getLongVolatile(index);
        }
    }

    /** The first word from this one on that has a bit set, or {@code wordCount}. */
    private long nextWordWithBits(long from) {
        long word = from;
        while (word < wordCount) {
            int number = (int) (word >>> CHUNK_WORDS_SHIFT);
            int end = chunks[number].capacity();
            int index = nextIndexWithBits(chunks[number], index(word), end);
            word = ((long) number << CHUNK_WORDS_SHIFT) + (index >>> 3);
            if (index < end) {
                return word;
            }
        }
        return wordCount;
    }

    /** Looks at eight words a step: the clean majority costs one branch for 64 bytes. */
    private static int nextIndexWithBits(UnsafeBuffer words, int from, int end) {
        int index = from;
        int lastStride = end - STRIDE_WORDS * Long.BYTES;
        while (index <= lastStride
                && (words.getLong(index) | words.getLong(index + 8) | words.getLong(index + 16)
                        | words.getLong(index + 24) | words.getLong(index + 32) | words.getLong(index + 40)
                        | words.getLong(index + 48) | words.getLong(index + 56)) == 0) {
            index += STRIDE_WORDS * Long.BYTES;
        }
        while (index < end && words.getLong(index) == 0) {
            index += Long.BYTES;
        }
        return index;
    }

    private void emit(long from, long to, RangeConsumer runs) throws IOException {
        long offset = from << blockShift;
        runs.accept(offset, Math.min(to << blockShift, layout.lengthBytes()) - offset);
    }

    private static long logWord(MemorySegment bits, long page, long pageCount) {
        long bytes = bits.byteSize() - page / 8;
        long word = 0;
        if (bytes >= Long.BYTES) {
            word = bits.get(BITS, page / 8);
        } else {
            for (int index = 0; index < bytes; index++) {
                word |= (bits.get(ValueLayout.JAVA_BYTE, page / 8 + index) & 0xffL) << (index * 8);
            }
        }
        long left = pageCount - page;
        return left >= Long.SIZE ? word : word & ~(ALL << left);
    }

    /** The bits of the blocks {@code [from, to)}, which lie in one word. */
    private static long mask(long from, long to) {
        return (ALL << from) & (ALL >>> -to);
    }

    private long word(long word) {
        return chunks[(int) (word >>> CHUNK_WORDS_SHIFT)].getLong(index(word));
    }

    private long volatileWord(long word) {
        return chunks[(int) (word >>> CHUNK_WORDS_SHIFT)].getLongVolatile(index(word));
    }

    private static int index(long word) {
        return ((int) word & CHUNK_WORD_MASK) << 3;
    }

    private long chunkWords(int chunk) {
        return Math.min(CHUNK_WORDS, wordCount - ((long) chunk << CHUNK_WORDS_SHIFT));
    }

    private void checkRange(long imageOffset, long lengthBytes) {
        if (imageOffset < 0 || lengthBytes < 0 || imageOffset > layout.lengthBytes() - lengthBytes) {
            throw outside(imageOffset, lengthBytes);
        }
    }

    private IndexOutOfBoundsException outside(long imageOffset, long lengthBytes) {
        return new IndexOutOfBoundsException(lengthBytes + " bytes from image offset " + imageOffset
                + " are not all inside an image of " + layout.lengthBytes());
    }
}
