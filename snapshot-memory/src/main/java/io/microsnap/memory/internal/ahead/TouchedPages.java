package io.microsnap.memory.internal.ahead;

import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.file.Advice;
import io.microsnap.core.internal.file.AsynchronousProtection;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.TrackingUnavailableException;
import java.io.IOException;

/**
 * Knows which pages of a lazily mapped image are touched, from when it was made on. Use it from one thread at a time.
 */
public sealed interface TouchedPages extends AutoCloseable {
    /** A guest of which more is in the page cache cannot be watched there: what it touches may be in that part. */
    int MOST_RESIDENT_PART = 16;

    /** Names the pages that were touched until now, as image offsets. */
    void runs(RangeConsumer touched) throws IOException;

    @Override
    void close() throws IOException;

    /**
     * Watches exactly, through the page tables, where the kernel can keep a page's neighbours out of them; otherwise
     * through the page cache, where that does not hold the image yet.
     *
     * @param readIn the pages that were read in when the image was mapped, of which neither tells anything
     * @throws TrackingUnavailableException where neither is possible, with both reasons
     */
    static TouchedPages watch(Posix posix, Mapping mapping, DirtyBitmap readIn) throws IOException {
        IOException inexact;
        try {
            return new InPageTables(mapping, readIn, register(posix, mapping));
        } catch (IOException unavailable) {
            inexact = unavailable;
        }
        DirtyBitmap resident = DirtyBitmap.of(readIn.layout());
        mapping.resident(0, mapping.lengthBytes(), resident::mark);
        if (resident.count() > readIn.count() + readIn.layout().pageCount() / MOST_RESIDENT_PART) {
            long pages = resident.count();
            resident.release();
            throw new TrackingUnavailableException("what a guest touches in " + mapping + " cannot be recorded:"
                    + " userfaultfd is not usable (" + inexact.getMessage() + "), and the page cache, which could tell,"
                    + " has " + pages + " of its " + readIn.layout().pageCount() + " pages already; restore it where"
                    + " the cache is cold", inexact);
        }
        System.getLogger(TouchedPages.class.getName()).log(System.Logger.Level.INFO, "what the guest touches in "
                + mapping + " is recorded through the page cache, as other readers of the file leave it, because"
                + " userfaultfd is not usable: " + inexact.getMessage());
        // Without it the kernel would read ahead what nobody touches.
        mapping.advise(0, mapping.lengthBytes(), Advice.RANDOM);
        return new InPageCache(mapping, readIn, resident);
    }

    private static AsynchronousProtection.Use register(Posix posix, Mapping mapping) throws IOException {
        AsynchronousProtection.Use use = mapping.protection().use(posix);
        try {
            // Large folios of the page cache would be mapped whole, and dropped whole when a page of them is written.
            mapping.advise(0, mapping.lengthBytes(), Advice.NO_HUGE_PAGES);
            // Registered memory is mapped page by page: the kernel maps no neighbours.
            use.register();
            return use;
        } catch (Throwable failure) {
            try (use) {
                throw failure;
            }
        }
    }

    /** Names what one bitmap marks and the others do not, and frees the first. */
    private static void difference(DirtyBitmap marked, RangeConsumer ranges, DirtyBitmap... others)
            throws IOException {
        try {
            for (DirtyBitmap other : others) {
                other.runs(0, marked::clear);
            }
            marked.runs(0, ranges);
        } finally {
            marked.release();
        }
    }

    /** Exact: memory that is registered for write protection has a page mapped when it was touched. */
    record InPageTables(Mapping mapping, DirtyBitmap readIn, AsynchronousProtection.Use use) implements TouchedPages {
        @Override
        public void runs(RangeConsumer touched) throws IOException {
            if (readIn.isEmpty()) {
                mapping.mapped(touched);
                return;
            }
            DirtyBitmap mapped = DirtyBitmap.of(readIn.layout());
            mapping.mapped(mapped::mark);
            difference(mapped, touched, readIn);
        }

        @Override
        public void close() throws IOException {
            use.close();
        }
    }

    /** What came into the page cache since, by this guest's accesses or those of others. */
    record InPageCache(Mapping mapping, DirtyBitmap readIn, DirtyBitmap before) implements TouchedPages {
        @Override
        public void runs(RangeConsumer touched) throws IOException {
            DirtyBitmap resident = DirtyBitmap.of(readIn.layout());
            mapping.resident(0, mapping.lengthBytes(), resident::mark);
            difference(resident, touched, before, readIn);
        }

        @Override
        public void close() {
            before.release();
        }
    }
}
