package io.microsnap.dirty;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.Region;
import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.testing.PacedWriters;
import io.microsnap.dirty.testing.TrackedGuest;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;

/** Guest memory of this process, written by stores and by system calls. */
final class PageMapGuest implements TrackedGuest {
    static final Posix POSIX = Posix.host();
    static final int PAGE = POSIX.getpagesize();
    static final GuestLayout LAYOUT = GuestLayout.of(PAGE,
            List.of(new Region(0, 1000L * PAGE), new Region(1L << 32, 777L * PAGE)));

    private final Mapping image;
    private final GuestRam ram;
    private final Mapping randomBytes;

    private PageMapGuest(Mapping image) throws IOException {
        this.image = image;
        ram = GuestRam.of(LAYOUT, image);
        randomBytes = Mapping.memfd(POSIX, "random-bytes", LAYOUT.lengthBytes(), HugePages.NONE);
        SplittableRandom random = new SplittableRandom(1);
        for (long offset = 0; offset < LAYOUT.lengthBytes(); offset += Long.BYTES) {
            randomBytes.segment().set(ValueLayout.JAVA_LONG, offset, random.nextLong());
        }
    }

    static PageMapGuest anonymous() throws IOException {
        return new PageMapGuest(Mapping.anonymous(POSIX, LAYOUT.lengthBytes(), HugePages.NONE));
    }

    static PageMapGuest memfd() throws IOException {
        return new PageMapGuest(Mapping.memfd(POSIX, "guest", LAYOUT.lengthBytes(), HugePages.NONE));
    }

    /** As after a lazy restore: a private mapping of an image. */
    static PageMapGuest privateMapping(Descriptor image) throws IOException {
        return new PageMapGuest(Mapping.file(image, 0, LAYOUT.lengthBytes(), Access.PRIVATE));
    }

    GuestRam ram() {
        return ram;
    }

    @Override
    public GuestLayout layout() {
        return LAYOUT;
    }

    @Override
    public DirtySource openSource() throws IOException {
        return PageMapSource.of(POSIX, ram);
    }

    @Override
    public Set<WritePath> paths() {
        return image.descriptor().isEmpty() ? EnumSet.of(WritePath.MAPPING)
                : EnumSet.of(WritePath.MAPPING, WritePath.OTHER_MAPPING, WritePath.FILE, WritePath.DISCARD);
    }

    @Override
    public void write(WritePath path, long[] pages, int value) throws IOException {
        for (long page : pages) {
            switch (path) {
                case MAPPING -> image.segment().set(ValueLayout.JAVA_INT, page, value);
                case OTHER_MAPPING -> {
                    try (Mapping second = Mapping.file(memfd(image), page, PAGE, Access.SHARED_WRITE)) {
                        second.segment().set(ValueLayout.JAVA_INT, 0, value);
                    }
                }
                case FILE -> {
                    try (Arena arena = Arena.ofConfined()) {
                        memfd(image).writeFully(arena.allocateFrom(ValueLayout.JAVA_INT, value), page);
                    }
                }
                case DISCARD -> memfd(image).check("fallocate", POSIX.fallocate(memfd(image).number(),
                        POSIX.constants().FALLOC_FL_PUNCH_HOLE | POSIX.constants().FALLOC_FL_KEEP_SIZE, page, PAGE),
                        "");
                case GUEST -> throw new IllegalArgumentException("there is no hypervisor here");
            }
        }
    }

    /** Two threads store, two let the kernel read into the mapping. */
    @Override
    public Writing keepWriting(long seed) {
        PacedWriters.Writer stores = random -> image.segment().set(ValueLayout.JAVA_LONG,
                random.nextLong(LAYOUT.lengthBytes() / Long.BYTES) * Long.BYTES, random.nextLong());
        PacedWriters.Writer reads = random -> {
            long length = 1 + random.nextLong(random.nextInt(8) == 0 ? 5L * PAGE : 64);
            long offset = random.nextLong(LAYOUT.lengthBytes() - length);
            memfd(randomBytes).readFully(image.segment().asSlice(offset, length),
                    random.nextLong(LAYOUT.lengthBytes() - length));
        };
        return new PacedWriters(seed, List.of(stores, reads, stores, reads));
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) {
        MemorySegment.copy(image.segment(), imageOffset, destination, 0, destination.byteSize());
    }

    @Override
    public void close() throws IOException {
        ram.close();
        randomBytes.close();
    }

    private static Descriptor memfd(Mapping image) {
        return image.descriptor().orElseThrow();
    }
}
