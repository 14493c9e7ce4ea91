package io.microsnap.core.internal.file;

import io.microsnap.core.HugePages;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** What lies behind a mapping, and so: its uses, and the place that knows its populated ranges. */
sealed interface Backing {
    boolean mayBeTruncated();

    boolean mayBeOverlaid();

    default boolean readOnly() {
        return false;
    }

    /**
     * Up to this length a range is populated if all of it is in memory, which is quickly asked. It is not the whole
     * truth about anonymous memory: a page that was read and never written is in memory as the shared page of zeros.
     */
    default long longestResidentBytes() {
        return 4L << 20;
    }

    /**
     * Names the populated ranges of a part of the mapping, as offsets into the mapping.
     *
     * @param part the part, which starts at {@code offset}
     * @param overlays what was laid over the mapping
     */
    void populated(OwnPageMap pageMap, MemorySegment part, long offset, Overlays overlays, RangeConsumer ranges)
            throws IOException;

    /** Closes what the mapping owns. */
    default void close() throws IOException {
    }

    record Anonymous(HugePages hugePages) implements Backing {
        @Override
        public boolean mayBeTruncated() {
            return false;
        }

        @Override
        public boolean mayBeOverlaid() {
            return hugePages != HugePages.RESERVED;
        }

        @Override
        public void populated(OwnPageMap pageMap, MemorySegment part, long offset, Overlays overlays,
                RangeConsumer ranges) throws IOException {
            if (overlays.isEmpty()) {
                PopulatedRanges.ofMemory(pageMap, part, shifted(offset, ranges));
                return;
            }
            RangeSet union = new RangeSet();
            overlays.populated(offset, part.byteSize(), union::add);
            PopulatedRanges.ofMemory(pageMap, part, shifted(offset, union::add));
            union.forEachWithin(offset, part.byteSize(), ranges);
        }
    }

    record Memfd(Descriptor descriptor) implements Backing {
        /** The next hole of a file in memory is looked for page by page up to the file's end, if need be. */
        @Override
        public long longestResidentBytes() {
            return Long.MAX_VALUE;
        }

        @Override
        public boolean mayBeTruncated() {
            return false;
        }

        @Override
        public boolean mayBeOverlaid() {
            return false;
        }

        @Override
        public void populated(OwnPageMap pageMap, MemorySegment part, long offset, Overlays overlays,
                RangeConsumer ranges) throws IOException {
            PopulatedRanges.ofFile(descriptor, offset, part.byteSize(), ranges);
        }

        @Override
        public void close() throws IOException {
            descriptor.close();
        }
    }

    record File(Descriptor descriptor, long fileOffset, Access access, boolean sealed) implements Backing {
        @Override
        public long longestResidentBytes() {
            return access == Access.PRIVATE ? Backing.super.longestResidentBytes() : Long.MAX_VALUE;
        }

        @Override
        public boolean mayBeTruncated() {
            return !sealed;
        }

        @Override
        public boolean mayBeOverlaid() {
            return access == Access.PRIVATE;
        }

        @Override
        public boolean readOnly() {
            return access == Access.SHARED_READ;
        }

        @Override
        public void populated(OwnPageMap pageMap, MemorySegment part, long offset, Overlays overlays,
                RangeConsumer ranges) throws IOException {
            long lengthBytes = part.byteSize();
            if (access != Access.PRIVATE) {
                ofFile(offset, lengthBytes, ranges);
                return;
            }
            RangeSet union = new RangeSet();
            overlays.populated(offset, lengthBytes, union::add);
            ofFile(offset, lengthBytes, union::add);
            PopulatedRanges.writtenPrivately(pageMap, part, shifted(offset, union::add));
            union.forEachWithin(offset, lengthBytes, ranges);
        }

        private void ofFile(long offset, long lengthBytes, RangeConsumer ranges) throws IOException {
            PopulatedRanges.ofFile(descriptor, fileOffset + offset, lengthBytes, shifted(-fileOffset, ranges));
        }
    }

    private static RangeConsumer shifted(long by, RangeConsumer ranges) {
        return (offset, lengthBytes) -> ranges.accept(offset + by, lengthBytes);
    }
}
