package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.PageReader;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SystemCallException;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.core.internal.work.Workers;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.Epoch;
import io.microsnap.memory.internal.image.MemoryWriter;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Runs the work of a pause on a small guest in memory. Afterwards system calls are linked and loops compiled, so that
 * the first pause of a process takes little longer than the tenth.
 */
final class Rehearsal {
    private static final System.Logger LOG = System.getLogger(Rehearsal.class.getName());
    private static final long GUEST_BYTES = 16L << 20;
    private static final long RUN_PAGES = 16;
    /** By then the code is compiled, or there is too little CPU time to wait for the compiler. */
    private static final long LONGEST_NANOS = 450_000_000;

    private Rehearsal() {
    }

    /** Rehearses, unless this process has done so. A concurrent caller waits. Never throws. */
    static void oncePerProcess() {
        Once.done();
    }

    /** Rehearses in its initializer, which runs once, in one thread. */
    private static final class Once {
        static {
            rehearse(Posix.host(), LONGEST_NANOS);
        }

        private Once() {
        }

        static void done() {
        }
    }

    /** Rehearses. Failures are only logged: a capture without rehearsal is slower but correct. */
    static void rehearse(Posix posix, long nanos) {
        try (Closing closing = new Closing()) {
            new Stage(posix, closing).rehearse(System.nanoTime() + nanos);
        } catch (IOException | RuntimeException | Error failure) {
            LOG.log(System.Logger.Level.DEBUG, "the first capture is not rehearsed, and may be slow", failure);
        }
    }

    /** A guest, its base, and files in memory that receive the capture. */
    private static final class Stage {
        private final Posix posix;
        private final GuestLayout layout;
        private final PageReader reader;
        private final DirtyTracker tracker;
        private final Descriptor image;
        private final PageIndex base;

        Stage(Posix posix, Closing closing) throws IOException {
            this.posix = posix;
            layout = GuestLayout.ofSingleRegion(posix.getpagesize(), GUEST_BYTES);
            GuestRam memory = closing.add(GuestRam.anonymous(posix, layout, HugePages.NONE));
            MemorySegment bytes = memory.mapping(0);
            for (long at = 0; at < GUEST_BYTES / 2; at += Long.BYTES) {
                bytes.set(ValueLayout.JAVA_LONG, at, at + 1);
            }
            reader = memory.reader();
            tracker = closing.add(DirtyTracker.ofMarks(layout));
            image = file(closing, GUEST_BYTES);
            base = closing.add(PageIndex.create(file(closing, 0), layout));
        }

        void rehearse(long endNanos) throws IOException {
            try (Workers alone = Workers.started("rehearsal", 0); Workers two = Workers.started("rehearsal", 1)) {
                MemoryWriter.into(image, layout).workers(alone).index(base).startingAsZeros().everything(reader);
                base.finish();
                do {
                    two.rouse();
                    full(two);
                    for (int dirty = 0; dirty < 8; dirty++) {
                        dirty(alone);
                        dirty(two);
                    }
                } while (System.nanoTime() < endNanos);
            }
        }

        private void full(Workers workers) throws IOException {
            try (Closing own = new Closing()) {
                PageIndex index = own.add(PageIndex.create(file(own, 0), layout));
                MemoryWriter.into(image, layout).workers(workers).index(index).startingAsZeros().everything(reader);
            }
        }

        private void dirty(Workers workers) throws IOException {
            long stepBytes = 4 * RUN_PAGES * layout.pageBytes();
            for (long offset = 0; offset < GUEST_BYTES; offset += stepBytes) {
                tracker.markWritten(offset, RUN_PAGES * layout.pageBytes());
            }
            try (Closing own = new Closing(); Epoch epoch = tracker.harvest()) {
                PageIndex index = own.add(PageIndex.createFrom(base, file(own, 0)));
                PageMap map = own.add(PageMap.create(file(own, 0), layout));
                MemoryWriter.into(image, layout).workers(workers).index(index).map(map).startingAsBase()
                        .dirty(reader, epoch.bitmap());
            }
        }

        private Descriptor file(Closing owner, long lengthBytes) throws IOException {
            int number = posix.memfd_create("rehearsal", posix.constants().MFD_CLOEXEC);
            if (number < 0) {
                throw SystemCallException.of(posix, number, "memfd_create", "rehearsal", "");
            }
            Descriptor file = owner.add(Descriptor.adopt(posix, number, "memfd rehearsal"));
            file.truncate(lengthBytes);
            return file;
        }
    }
}
