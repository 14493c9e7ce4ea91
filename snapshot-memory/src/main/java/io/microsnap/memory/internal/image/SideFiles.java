package io.microsnap.memory.internal.image;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.file.ReflinkOutcome;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.FileSystemStat;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * Files without a name in which lanes write what is to become part of an image: one behind the other what belongs in
 * different places, and each lane into a file of its own. Where a filesystem takes long over each page, and longer over
 * each place, as btrfs does, the pause is shorter by that. When nobody waits any more the image takes over the blocks,
 * and nothing is copied.
 *
 * <p>For one writing of one {@link ImageWriter}. Whoever makes the files closes them, when that is settled.
 */
public final class SideFiles {
    /** For less it does not pay. */
    static final long LEAST_BYTES = 4L << 20;

    private final Reflink reflink = new Reflink();
    private final List<SideFile> files = new ArrayList<>();
    /** Pages of all files: who wrote them is who took their chunk. */
    private final DirtyBitmap written;

    private SideFiles(DirtyBitmap written) {
        this.written = written;
    }

    /** Makes an empty file without a name beside the image. */
    @FunctionalInterface
    public interface Maker {
        Descriptor make() throws IOException;
    }

    /** For an image that is written itself. */
    static SideFiles none() {
        return new SideFiles(null);
    }

    /** One for each lane where they pay and can share their blocks with the image; otherwise none. */
    public static SideFiles suiting(Descriptor image, GuestLayout layout, int lanes, Maker maker) throws IOException {
        FileSystemStat fileSystem = image.fileSystem();
        long blockBytes = fileSystem.blockSizeBytes();
        if (fileSystem.type() != FileSystemStat.BTRFS || layout.lengthBytes() < LEAST_BYTES
                || layout.pageBytes() % blockBytes != 0 || layout.lengthBytes() % layout.pageBytes() != 0) {
            return none();
        }
        SideFiles made = new SideFiles(DirtyBitmap.of(layout));
        long chunks = Math.ceilDiv(layout.lengthBytes(), Lanes.CHUNK_BYTES);
        while (made.count() < Math.min(lanes, chunks)) {
            Descriptor file = maker.make();
            // Some files share with no other, or only with their like: to be known before they are written.
            if (!made.reflink.cloneRange(image, 0, file, 0, blockBytes).isCloned()) {
                return none();
            }
            made.files.add(made.new SideFile(file));
        }
        return made;
    }

    int count() {
        return files.size();
    }

    SideFile get(int number) {
        return files.get(number);
    }

    /** Makes what was written part of the image. */
    void gatherInto(Descriptor image) throws IOException {
        for (SideFile file : files) {
            file.gatherInto(image);
        }
    }

    /** One lane's. */
    final class SideFile implements Output {
        private final Descriptor descriptor;
        private final BitSet chunks = new BitSet();
        private long endBytes;
        private long gatheredBytes;

        private SideFile(Descriptor descriptor) {
            this.descriptor = descriptor;
        }

        /** What is written next is of the chunk that starts there, which lies behind those before it. */
        void take(long chunkOffset) {
            chunks.set((int) (chunkOffset / Lanes.CHUNK_BYTES));
        }

        /** Ranges come in ascending order, so that the order in which they lie here need not be kept. */
        @Override
        public void guest(MemorySegment memory, long at, long offset, long lengthBytes) throws IOException {
            Output.write(descriptor, endBytes, memory, at, offset, lengthBytes);
            endBytes += lengthBytes;
            written.mark(offset, lengthBytes);
        }

        private void gatherInto(Descriptor image) throws IOException {
            long imageBytes = image.sizeBytes();
            for (int chunk = chunks.nextSetBit(0); chunk >= 0; chunk = chunks.nextSetBit(chunk + 1)) {
                long start = chunk * Lanes.CHUNK_BYTES;
                written.runs(start, Math.min(Lanes.CHUNK_BYTES, imageBytes - start), (offset, lengthBytes) ->
                        gather(image, offset, lengthBytes));
            }
            chunks.clear();
            if (gatheredBytes != endBytes) {
                throw new IllegalStateException(image + " has taken over " + gatheredBytes + " bytes of the " + endBytes
                        + " that were written beside it");
            }
        }

        private void gather(Descriptor image, long offset, long lengthBytes) throws IOException {
            ReflinkOutcome outcome = reflink.cloneRange(descriptor, gatheredBytes, image, offset, lengthBytes);
            if (!outcome.isCloned()) {
                String why = outcome instanceof ReflinkOutcome.Unsupported no ? no.reason() : "that is gone";
                throw new SnapshotException(image + " cannot take over " + lengthBytes + " bytes at " + offset
                        + " from the file where a lane wrote them: " + why + "; capture again");
            }
            gatheredBytes += lengthBytes;
        }
    }
}
