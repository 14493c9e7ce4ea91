package io.microsnap.core.internal.file;

import io.microsnap.core.HugePages;
import io.microsnap.core.RangeConsumer;
import io.microsnap.core.internal.posix.Descriptor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** The kind of memory behind a mapping. It decides what the mapping can do and how populated ranges are found. */
sealed interface Backing {
    boolean mayBeTruncated();

    boolean mayBeOverlaid();

    default boolean readOnly() {
        return false;
    }

    /**
     * Returns the length up to which residency, a cheap question, may stand for population. For anonymous memory
     * residency says too much: a page that was read and never written is resident as the shared page of zeros.
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
    void populated(ProcessPageTable pageTable, MemorySegment part, long offset, Overlays overlays, RangeConsumer ranges)
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
        public void populated(ProcessPageTable pageTable, MemorySegment part, long offset, Overlays overlays,
                RangeConsumer ranges) throws IOException {
            if (overlays.isEmpty()) {
                PopulatedRanges.ofMemory(pageTable, part, shifted(offset, ranges));
                return;
            }
            RangeSet union = new RangeSet();
            overlays.populated(offset, part.byteSize(), union::add);
            PopulatedRanges.ofMemory(pageTable, part, shifted(offset, union::add));
            union.forEachWithin(offset, part.byteSize(), ranges);
        }
    }

    record Memfd(Descriptor descriptor) implements Backing {
        /** Returns the next hole of a file in memory is looked for page by page up to the file's end, if need be. */
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
        public void populated(ProcessPageTable pageTable, MemorySegment part, long offset, Overlays overlays,
                RangeConsumer ranges) throws IOException {
            PopulatedRanges.ofFile(descriptor, offset, part.byteSize(), ranges);
        }

        @Override
        public void close() throws IOException {
            descriptor.close();
        }
    }

    record File(Descriptor descriptor, DataRanges data, long fileOffset, Access access, boolean sealed)
            implements Backing {
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
        public void populated(ProcessPageTable pageTable, MemorySegment part, long offset, Overlays overlays,
                RangeConsumer ranges) throws IOException {
            long lengthBytes = part.byteSize();
            if (access != Access.PRIVATE) {
                // A guest may give pages back meanwhile, and to read them here would fill them again.
                PopulatedRanges.ofFile(descriptor, fileOffset + offset, lengthBytes, shifted(-fileOffset, ranges));
                return;
            }
            RangeSet union = new RangeSet();
            overlays.populated(offset, lengthBytes, union::add);
            data.requireReach(fileOffset + offset, lengthBytes);
            data.within(fileOffset + offset, lengthBytes, shifted(-fileOffset, union::add));
            PopulatedRanges.writtenPrivately(pageTable, part, shifted(offset, union::add));
            union.forEachWithin(offset, lengthBytes, ranges);
        }
    }

    private static RangeConsumer shifted(long by, RangeConsumer ranges) {
        return (offset, lengthBytes) -> ranges.accept(offset + by, lengthBytes);
    }
}
