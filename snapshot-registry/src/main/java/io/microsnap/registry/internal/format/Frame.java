package io.microsnap.registry.internal.format;

import io.microsnap.core.GuestLayout;

/**
 * Up to 256 KiB of pages of an image, as stored in a pack.
 *
 * @param pack the number of its pack in the table
 * @param offset its offset in the pack
 * @param storedBytes its length in the pack
 * @param compressed whether it is a zstd frame; otherwise it is the pages themselves
 * @param used bit i: its page i is a page of this image
 * @param runs pairs of first page and number of pages, ascending
 * @param storedDigest the SHA-256 of its bytes in the pack
 * @param pagesDigest the SHA-256 of its pages
 */
@SuppressWarnings("ArrayRecordComponent") // Made in numbers, read once, never compared.
public record Frame(int pack, long offset, int storedBytes, boolean compressed, long used, long[] runs,
        byte[] storedDigest, byte[] pagesDigest) {
    /** The most that a frame's pages may have. */
    public static final int LARGEST_BYTES = 256 << 10;

    /** Takes a run of pages that are next to each other in the image and in the frame. */
    @FunctionalInterface
    public interface Run<E extends Exception> {
        /** Takes this many pages, from this page of the image and this page of the frame on. */
        void accept(long firstPage, int inFrame, int count) throws E;
    }

    /** Returns its end in the pack. */
    public long end() {
        return offset + storedBytes;
    }

    /** Returns how many pages it holds. */
    public int pageCount() {
        int count = 0;
        for (int run = 0; run < runs.length; run += 2) {
            count += (int) runs[run + 1];
        }
        return count;
    }

    /** Returns how many of its pages this image takes. */
    public int usedCount() {
        return Long.bitCount(used);
    }

    /** Returns the total length of its pages. */
    public int pagesBytes(GuestLayout layout) {
        long lastPage = runs[runs.length - 2] + runs[runs.length - 1] - 1;
        long missing = Math.max(0, (lastPage + 1) * layout.pageBytes() - layout.lengthBytes());
        return (int) ((long) pageCount() * layout.pageBytes() - missing);
    }

    /** Names all of its pages. */
    public <E extends Exception> void eachRun(Run<E> run) throws E {
        int inFrame = 0;
        for (int at = 0; at < runs.length; at += 2) {
            run.accept(runs[at], inFrame, (int) runs[at + 1]);
            inFrame += (int) runs[at + 1];
        }
    }

    /** Names those of its pages that this image takes. */
    public <E extends Exception> void eachUsedRun(Run<E> run) throws E {
        eachRun((firstPage, inFrame, count) -> {
            int at = 0;
            while (at < count) {
                if (!isUsed(inFrame + at)) {
                    at++;
                    continue;
                }
                int end = at;
                while (end < count && isUsed(inFrame + end)) {
                    end++;
                }
                run.accept(firstPage + at, inFrame + at, end - at);
                at = end;
            }
        });
    }

    /** Returns the same frame for an image that uses other pages of it, and for a table with other pack numbers. */
    public Frame with(int newPack, long newUsed) {
        return new Frame(newPack, offset, storedBytes, compressed, newUsed, runs, storedDigest, pagesDigest);
    }

    private boolean isUsed(int inFrame) {
        return ((used >>> inFrame) & 1) != 0;
    }
}
