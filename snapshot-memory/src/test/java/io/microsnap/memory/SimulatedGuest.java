package io.microsnap.memory;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.GuestMemory;
import io.microsnap.core.HugePages;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Region;
import io.microsnap.core.internal.file.Advice;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.dirty.SourceOwnership;
import io.microsnap.dirty.WritePath;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;

/** A guest without a processor: a test writes its memory, and the write is reported in one of several ways. */
final class SimulatedGuest implements PausableMachine, AutoCloseable {
    private final GuestMemory memory;
    private final Optional<Mapping> discardable;
    private final Optional<RestoredSnapshot> restored;
    private final DirtyTracker tracker;
    private final Optional<Blocks> blocks;
    private final boolean seesItself;
    int pauses;
    int resumes;

    private SimulatedGuest(GuestMemory memory, Optional<Mapping> discardable, Optional<RestoredSnapshot> restored,
            DirtyTracker tracker, Optional<Blocks> blocks, boolean seesItself) {
        this.memory = memory;
        this.discardable = discardable;
        this.restored = restored;
        this.tracker = tracker;
        this.blocks = blocks;
        this.seesItself = seesItself;
    }

    /** New memory of zeros; writes are marked page by page, or reported in blocks of this size. */
    static SimulatedGuest booted(GuestLayout layout, long blockBytes) throws IOException {
        Mapping mapping = Mapping.anonymous(Posix.host(), layout.lengthBytes(), HugePages.NONE);
        Optional<Blocks> blocks = Blocks.of(layout, blockBytes);
        DirtyTracker tracker = blocks.isPresent()
                ? DirtyTracker.of(layout, blocks.get()) : DirtyTracker.ofMarks(layout);
        return new SimulatedGuest(GuestRam.of(layout, mapping), Optional.of(mapping), Optional.empty(), tracker, blocks,
                false);
    }

    /** Goes on from a snapshot: with blocks, or a lazy restore's own tracking, or marks. */
    static SimulatedGuest restored(RestoredSnapshot snapshot, boolean lazy, long blockBytes) throws IOException {
        GuestLayout layout = snapshot.memory().layout();
        Optional<Blocks> blocks = Blocks.of(layout, blockBytes);
        if (lazy && blocks.isEmpty()) {
            return new SimulatedGuest(snapshot.memory(), Optional.empty(), Optional.of(snapshot), snapshot.tracker(),
                    blocks, true);
        }
        DirtyTracker tracker;
        if (blocks.isPresent()) {
            tracker = snapshot.tracker(blocks.get());
        } else {
            tracker = DirtyTracker.ofMarks(layout);
            tracker.armRelativeTo(snapshot.reference());
        }
        return new SimulatedGuest(snapshot.memory(), Optional.empty(), Optional.of(snapshot), tracker, blocks, false);
    }

    /** One to four regions with gaps between them, log-uniform from a page on. */
    static GuestLayout randomLayout(SplittableRandom random, long largestBytes) {
        int pageBytes = 4096 << (2 * random.nextInt(3));
        long pages = (long) Math.exp(random.nextDouble() * Math.log((double) largestBytes / pageBytes));
        int count = (int) Math.min(random.nextInt(1, 5), pages);
        List<Region> regions = new ArrayList<>();
        long address = 0;
        long left = pages;
        for (int region = 1; region <= count; region++) {
            long take = region == count ? left : random.nextLong(1, left - (count - region) + 1);
            address += (long) pageBytes * random.nextInt(3) * random.nextInt(100_000);
            regions.add(new Region(address, take * pageBytes));
            address += take * pageBytes;
            left -= take;
        }
        return GuestLayout.of(pageBytes, regions);
    }

    PageReader reader() {
        return memory.reader();
    }

    GuestLayout layout() {
        return memory.layout();
    }

    DirtyTracker tracker() {
        return tracker;
    }

    /** The snapshot this guest was restored from. */
    Optional<RestoredSnapshot> origin() {
        return restored;
    }

    /** Everything it holds, as it is now. */
    byte[] content() {
        byte[] all = new byte[Math.toIntExact(layout().lengthBytes())];
        for (int region = 0; region < layout().regions().size(); region++) {
            MemorySegment mapping = memory.mapping(region);
            MemorySegment.copy(mapping, ValueLayout.JAVA_BYTE, 0, all, (int) layout().imageOffset(region),
                    (int) mapping.byteSize());
        }
        return all;
    }

    /** Writes runs of noise, repeats, zeros, some bytes, and gives some memory back. */
    void run(SplittableRandom random) throws IOException {
        long pages = layout().pageCount();
        int changes = random.nextInt(1, 12);
        for (int change = 0; change < changes; change++) {
            long first = random.nextLong(pages);
            long count = Math.min(pages - first, 1L << random.nextInt(9));
            int pageBytes = layout().pageBytes();
            int region = layout().regionAt(first * pageBytes);
            long regionEnd = layout().imageOffset(region) + layout().regions().get(region).lengthBytes();
            long offset = first * pageBytes;
            long length = Math.min(offset + count * pageBytes, regionEnd) - offset;
            change(random, memory.mapping(region).asSlice(offset - layout().imageOffset(region), length), offset);
        }
    }

    private void change(SplittableRandom random, MemorySegment bytes, long offset) throws IOException {
        long length = bytes.byteSize();
        switch (random.nextInt(6)) {
            case 0 -> bytes.fill((byte) 0);
            case 1 -> bytes.fill((byte) random.nextInt());
            case 2 -> bytes.set(ValueLayout.JAVA_BYTE, random.nextLong(length), (byte) random.nextInt());
            case 3 -> {
                if (discardable.isPresent()) {
                    discardable.get().advise(offset, length, Advice.DISCARD);
                    tracker.markDiscarded(offset, length);
                }
            }
            default -> {
                byte[] noise = new byte[(int) length];
                random.nextBytes(noise);
                bytes.copyFrom(MemorySegment.ofArray(noise));
            }
        }
        if (blocks.isPresent()) {
            blocks.get().wrote(offset, length);
        } else if (!seesItself) {
            tracker.markWritten(offset, length);
        }
    }

    @Override
    public void pause() throws IOException {
        pauses++;
    }

    @Override
    public List<MachineStateSection> saveState() throws IOException {
        return List.of(new MachineStateSection("pauses", ByteBuffer.wrap(new byte[] {(byte) pauses})));
    }

    @Override
    public void resume() throws IOException {
        resumes++;
    }

    @Override
    public void close() throws IOException {
        tracker.close();
        if (restored.isPresent()) {
            restored.get().close();
        } else {
            memory.close();
        }
    }

    /** Reports in blocks the pages that it is given, as write protection of large pages does. */
    private static final class Blocks implements DirtySource {
        private final SourceOwnership ownership = new SourceOwnership();
        private final GuestLayout layout;
        private final DirtyBitmap written;

        private Blocks(GuestLayout layout, long blockBytes) {
            this.layout = layout;
            written = DirtyBitmap.of(layout, blockBytes);
        }

        static Optional<Blocks> of(GuestLayout layout, long blockBytes) {
            return blockBytes <= layout.pageBytes() ? Optional.empty() : Optional.of(new Blocks(layout, blockBytes));
        }

        void wrote(long offset, long lengthBytes) {
            written.mark(offset, lengthBytes);
        }

        @Override
        public String name() {
            return "blocks of " + written.blockBytes();
        }

        @Override
        public GuestLayout layout() {
            return layout;
        }

        @Override
        public long blockBytes() {
            return written.blockBytes();
        }

        @Override
        public SourceOwnership ownership() {
            return ownership;
        }

        @Override
        public Set<WritePath> blindTo() {
            return Set.of(WritePath.DISCARD);
        }

        @Override
        public void arm() {
            written.clear();
        }

        @Override
        public void harvest(DirtyBitmap into) {
            written.drainInto(into);
        }

        @Override
        public void disarm() {
            written.clear();
        }

        @Override
        public void close() {
            written.clear();
        }
    }
}
