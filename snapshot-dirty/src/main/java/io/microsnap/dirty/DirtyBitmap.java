package io.microsnap.dirty;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.RangeConsumer;
import java.io.IOException;

/**
 * Which parts of a guest's memory are dirty: one bit a page, or a block of pages, off the heap, for up to 64 TiB at
 * 4 KiB. Its memory is freed when it is unreachable; there is nothing to close, but {@link #release} frees the memory
 * early.
 *
 * <p>Any number of threads may set bits while one drains them: each set bit is either drained or still in the bitmap,
 * never lost. Scans and counts that run concurrently with setters see each bit set before they began. {@link #clear()}
 * may lose bits that are set at the same time.
 *
 * <p>A bit that is already set is only read. If one thread writes memory and then sets its bit while another drains the
 * bit and then reads the memory, the writer needs a full fence in between: {@link DirtyTracker#markWritten} has it.
 *
 * <p>Queries outside the image return {@code false}; changes there throw {@link IndexOutOfBoundsException}, because
 * they are programming mistakes.
 */
public final class DirtyBitmap {
    /** The largest bitmap: 2 GiB. */
    static final long MOST_BLOCKS = 1L << 34;

    private static final long ALL = -1L;

    private final GuestLayout layout;
    private final long layoutBytes;
    private final int pageShift;
    private final long pageCount;
    private final int blockShift;
    private final long blockCount;
    private final Words words;

    private DirtyBitmap(GuestLayout layout, long blockBytes) {
        AgronaAccess.require();
        if (Long.bitCount(blockBytes) != 1 || blockBytes < layout.pageBytes()) {
            throw new IllegalArgumentException("a block of " + blockBytes + " bytes over pages of "
                    + layout.pageBytes() + "; a block is a power of two and at least a page");
        }
        this.layout = layout;
        layoutBytes = layout.lengthBytes();
        pageShift = Integer.numberOfTrailingZeros(layout.pageBytes());
        pageCount = layout.pageCount();
        blockShift = Long.numberOfTrailingZeros(blockBytes);
        blockCount = ((layoutBytes - 1) >>> blockShift) + 1;
        if (blockCount > MOST_BLOCKS) {
            throw new IllegalArgumentException("a guest of " + layoutBytes + " bytes has " + blockCount
                    + " blocks of " + blockBytes + "; a bitmap holds " + MOST_BLOCKS);
        }
        words = new Words((blockCount + Long.SIZE - 1) >>> 6);
    }

    /** Returns a clean bitmap with a bit for each page. */
    public static DirtyBitmap of(GuestLayout layout) {
        return new DirtyBitmap(layout, layout.pageBytes());
    }

    /**
     * Returns a clean bitmap with a bit for each block of the image.
     *
     * @param layout the guest
     * @param blockBytes a power of two, at least a page; the last block may reach past the end of the image
     */
    public static DirtyBitmap of(GuestLayout layout, long blockBytes) {
        return new DirtyBitmap(layout, blockBytes);
    }

    /** Returns the layout of the guest, whose image offsets the bitmap is asked by. */
    public GuestLayout layout() {
        return layout;
    }

    /** Throws if the bitmap is used for another guest, which is a programming mistake. */
    public void requireLayout(GuestLayout other) {
        if (!layout.equals(other)) {
            throw new IllegalArgumentException("a bitmap of " + layout + " cannot be used for " + other);
        }
    }

    /** Returns the length of the block that a bit stands for. */
    public long blockBytes() {
        return 1L << blockShift;
    }

    /** Returns the number of bits: blocks of the image, a last partial one included. */
    public long blockCount() {
        return blockCount;
    }

    /** Sets the bit of the block that holds the image offset; returns whether it was clean before. */
    public boolean set(long imageOffset) {
        if (Long.compareUnsigned(imageOffset, layoutBytes) >= 0) {
            throw outside(imageOffset, 1);
        }
        long block = imageOffset >>> blockShift;
        long bit = 1L << block;
        return (words.getOpaque(block >>> 6) & bit) == 0 && (words.getAndOr(block >>> 6, bit) & bit) == 0;
    }

    /** Sets the bits of all blocks that the range touches. An empty range touches none. */
    public void mark(long imageOffset, long lengthBytes) {
        checkRange(imageOffset, lengthBytes);
        if (lengthBytes > 0) {
            setBlocks(imageOffset >>> blockShift, ((imageOffset + lengthBytes - 1) >>> blockShift) + 1);
        }
    }

    /** Returns whether the block that holds the image offset is dirty; {@code false} outside the image. */
    public boolean test(long imageOffset) {
        if (imageOffset < 0 || imageOffset >= layoutBytes) {
            return false;
        }
        long block = imageOffset >>> blockShift;
        return (words.getOpaque(block >>> 6) & (1L << block)) != 0;
    }

    /** Cleans everything. */
    public void clear() {
        words.clear();
    }

    /**
     * Cleans everything and returns the memory to the system, for a bitmap that is no longer needed. It stays usable: a
     * thread that sets a bit late does no harm.
     */
    public void release() {
        words.release();
    }

    /** Cleans the blocks that lie wholly inside the range; a block that is only partly inside keeps its bit. */
    public void clear(long imageOffset, long lengthBytes) {
        checkRange(imageOffset, lengthBytes);
        long end = imageOffset + lengthBytes;
        long from = (imageOffset + blockBytes() - 1) >>> blockShift;
        long to = end == layoutBytes ? blockCount : end >>> blockShift;
        for (long block = from; block < to; ) {
            long last = Math.min(to, (block | 63) + 1);
            words.and(block >>> 6, ~mask(block, last));
            block = last;
        }
    }

    /** Returns the number of dirty blocks. */
    public long count() {
        long count = 0;
        for (long word = 0; word < words.count(); word++) {
            count += Long.bitCount(words.get(word));
        }
        return count;
    }

    /** Returns the number of dirty blocks that the range touches. */
    public long count(long imageOffset, long lengthBytes) {
        checkRange(imageOffset, lengthBytes);
        if (lengthBytes == 0) {
            return 0;
        }
        long to = ((imageOffset + lengthBytes - 1) >>> blockShift) + 1;
        long count = 0;
        for (long block = imageOffset >>> blockShift; block < to; ) {
            long last = Math.min(to, (block | 63) + 1);
            count += Long.bitCount(words.getOpaque(block >>> 6) & mask(block, last));
            block = last;
        }
        return count;
    }

    /** Returns whether no bit is set. */
    public boolean isEmpty() {
        return words.nextWithBits(0) == words.count();
    }

    /**
     * Names the dirty parts of the image as runs, in ascending order, clipped to the image. Allocates nothing.
     *
     * @param bridgeBytes clean gaps of at most this length become part of the run; zero keeps runs exact
     * @param runs takes image offset and length; an exception from it ends the scan
     */
    public void runs(long bridgeBytes, RangeConsumer runs) throws IOException {
        if (bridgeBytes < 0) {
            throw new IllegalArgumentException("a bridge of " + bridgeBytes + " bytes");
        }
        scan(0, words.count(), bridgeBytes >>> blockShift, runs);
    }

    /** Names the exact runs of a part of the image, in ascending order, clipped to it. */
    public void runs(long imageOffset, long lengthBytes, RangeConsumer runs) throws IOException {
        checkRange(imageOffset, lengthBytes);
        long end = imageOffset + lengthBytes;
        if (lengthBytes > 0) {
            scan(imageOffset >>> blockShift >>> 6, ((end - 1) >>> blockShift >>> 6) + 1, 0, (offset, length) -> {
                long from = Math.max(imageOffset, offset);
                long to = Math.min(end, offset + length);
                if (from < to) {
                    runs.accept(from, to - from);
                }
            });
        }
    }

    private void scan(long firstWord, long endWord, long bridge, RangeConsumer runs) throws IOException {
        long from = 0;
        long to = 0;
        for (long word = words.nextWithBits(firstWord, endWord); word < endWord;
                word = words.nextWithBits(word + 1, endWord)) {
            long bits = words.get(word);
            long first = word << 6;
            do {
                int low = Long.numberOfTrailingZeros(bits);
                // Adding to the lowest bit carries through its run and sets the first clear bit after it, if there is
                // one.
                long carried = bits + (1L << low);
                int high = Long.numberOfTrailingZeros(carried & ~bits);
                bits &= carried;
                if (first + low - to > bridge || to == 0) {
                    if (to != 0) {
                        emit(from, to, runs);
                    }
                    from = first + low;
                }
                to = first + high;
            } while (bits != 0);
        }
        if (to > 0) {
            emit(from, to, runs);
        }
    }

    /**
     * Adds another bitmap of the same layout. If block sizes differ, a coarse bit sets all the finer bits in its block,
     * and a fine bit sets the coarser bit around it.
     */
    public void or(DirtyBitmap other) {
        requireLayout(other.layout);
        Words others = other.words;
        for (long word = others.nextWithBits(0); word < others.count(); word = others.nextWithBits(word + 1)) {
            add(other, word, others.getOpaque(word));
        }
    }

    /**
     * Moves every bit into another bitmap of the same layout, folding as {@link #or} does. A bit that is set meanwhile
     * is moved or stays here. Only one thread may drain at a time.
     */
    public void drainInto(DirtyBitmap target) {
        target.requireLayout(layout);
        if (target == this) {
            throw new IllegalArgumentException("a bitmap cannot be drained into itself");
        }
        for (long word = words.nextWithBits(0); word < words.count(); word = words.nextWithBits(word + 1)) {
            target.add(this, word, words.getAndClear(word));
        }
    }

    /**
     * Adds up to 64 pages, as one word of a hypervisor's log names them.
     *
     * @param imageOffset the first page's offset; a page boundary, not necessarily a word's
     * @param pages bit {@code n} stands for the {@code n}th page from there on, of the layout's size
     */
    public void markPages(long imageOffset, long pages) {
        if ((imageOffset & (1L << pageShift) - 1) != 0) {
            throw new IllegalArgumentException("image offset " + imageOffset + " is not on a page of "
                    + layout.pageBytes() + " bytes");
        }
        int count = Long.SIZE - Long.numberOfLeadingZeros(pages);
        long first = imageOffset >> pageShift;
        if (first < 0 || first > pageCount - count) {
            throw new IndexOutOfBoundsException(count + " pages from image offset " + imageOffset
                    + " in an image of " + pageCount);
        }
        if (blockShift > pageShift) {
            orFolded(first, pages, blockShift - pageShift);
        } else if (count > 0) {
            orShifted(first, pages);
        }
    }

    /** Returns a copy. */
    public DirtyBitmap copy() {
        return folded(blockBytes());
    }

    /** Returns a copy with another block size: see {@link #or}. */
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
        if ((words.getOpaque(word) & mask) != mask) {
            words.getAndOr(word, mask);
        }
    }

    private void emit(long from, long to, RangeConsumer runs) throws IOException {
        long offset = from << blockShift;
        runs.accept(offset, Math.min(to << blockShift, layoutBytes) - offset);
    }

    /** Returns the bits of the blocks {@code [from, to)}, which lie in one word. */
    private static long mask(long from, long to) {
        return (ALL << from) & (ALL >>> -to);
    }

    private void checkRange(long imageOffset, long lengthBytes) {
        if (imageOffset < 0 || lengthBytes < 0 || imageOffset > layoutBytes - lengthBytes) {
            throw outside(imageOffset, lengthBytes);
        }
    }

    private IndexOutOfBoundsException outside(long imageOffset, long lengthBytes) {
        return new IndexOutOfBoundsException(lengthBytes + " bytes from image offset " + imageOffset
                + " are not all inside an image of " + layoutBytes);
    }
}
