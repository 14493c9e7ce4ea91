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
 * Names the pages of a lazily mapped image that were touched since this object was made. Use it from one thread at a
 * time.
 */
public sealed interface TouchedPages extends AutoCloseable {
    /** If the page cache holds a larger part of the image, it cannot show touches: the guest may touch that part. */
    int MOST_RESIDENT_PART = 16;

    /** Names the pages that were touched until now, as image offsets. */
    void runs(RangeConsumer touched) throws IOException;

    @Override
    void close() throws IOException;

    /**
     * Watches exactly, through the page tables, if the kernel can avoid mapping a page's neighbours; otherwise through
     * the page cache, if that does not hold the image yet.
     *
     * @param readIn the pages that were read in when the image was mapped; touches of those cannot be seen
     * @throws TrackingUnavailableException if neither is possible, with both reasons
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
                    + " userfaultfd is not usable (" + inexact.getMessage() + "), and the page cache, which could"
                    + " show it, has " + pages + " of its " + readIn.layout().pageCount() + " pages already; restore"
                    + " it where"
                    + " the cache is cold", inexact);
        }
        System.getLogger(TouchedPages.class.getName()).log(System.Logger.Level.INFO, "touches of " + mapping + " are"
                + " recorded through the page cache, which other readers of the file affect, because userfaultfd is"
                + " not usable: " + inexact.getMessage());
        // Otherwise the kernel would read ahead pages that the guest does not touch.
        mapping.advise(0, mapping.lengthBytes(), Advice.RANDOM);
        return new InPageCache(mapping, readIn, resident);
    }

    private static AsynchronousProtection.Use register(Posix posix, Mapping mapping) throws IOException {
        AsynchronousProtection.Use use = mapping.protection().use(posix);
        try {
            // The kernel would map large folios of the page cache whole, and drop them whole when one page is written.
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

    /** Names the pages that one bitmap marks and the others do not, and frees the first. */
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

    /** Exact: in memory registered for write protection, only touched pages are mapped. */
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

    /** Names the pages that came into the page cache since, by accesses of this guest or of other readers. */
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
