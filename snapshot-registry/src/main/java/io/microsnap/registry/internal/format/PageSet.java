package io.microsnap.registry.internal.format;

import io.microsnap.core.HugePages;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/** A set of pages, a bit for each; only set parts take memory. Use it from one thread at a time. */
public final class PageSet implements AutoCloseable {
    private static final int WORD_BITS = Long.SIZE;

    private final Mapping memory;
    private final MemorySegment words;
    private final long pageCount;
    private long size;

    private PageSet(Mapping memory, long pageCount) {
        this.memory = memory;
        this.words = memory.segment();
        this.pageCount = pageCount;
    }

    /** Makes an empty set of pages below the count. */
    public static PageSet of(Posix posix, long pageCount) throws IOException {
        long bytes = Math.ceilDiv(pageCount, (long) WORD_BITS) * Long.BYTES;
        return new PageSet(Mapping.anonymous(posix, bytes, HugePages.NONE), pageCount);
    }

    /** Returns whether the set has the page. */
    public boolean has(long page) {
        Objects.checkIndex(page, pageCount);
        return ((word(page / WORD_BITS) >>> page) & 1) != 0;
    }

    /** Adds a page; returns false if the set has it already. */
    public boolean add(long page) {
        if (has(page)) {
            return false;
        }
        long word = page / WORD_BITS;
        words.setAtIndex(ValueLayout.JAVA_LONG, word, word(word) | (1L << page));
        size++;
        return true;
    }

    /** Returns how many pages it has. */
    public long size() {
        return size;
    }

    private long word(long index) {
        return words.getAtIndex(ValueLayout.JAVA_LONG, index);
    }

    @Override
    public void close() throws IOException {
        memory.close();
    }
}
