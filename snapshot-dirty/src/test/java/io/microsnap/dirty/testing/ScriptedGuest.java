package io.microsnap.dirty.testing;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.WritePath;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/** A guest of Java's own: its stores go to a segment, and then to the {@link ScriptedSource} that watches it. */
public final class ScriptedGuest implements TrackedGuest {
    /** Its layout: two regions of 2000 and 999 pages. */
    public static final GuestLayout LAYOUT =
            GuestLayout.of(4096, List.of(new Region(0, 2000 * 4096), new Region(1 << 30, 999 * 4096)));

    private final MemorySegment memory = Arena.ofAuto().allocate(LAYOUT.lengthBytes());
    private final ScriptedSource source;

    /** Written by tests, watched by that source. */
    public ScriptedGuest(ScriptedSource source) {
        this.source = source;
    }

    @Override
    public GuestLayout layout() {
        return LAYOUT;
    }

    @Override
    public DirtySource openSource() {
        return source;
    }

    @Override
    public Set<WritePath> paths() {
        return EnumSet.of(WritePath.GUEST, WritePath.FILE);
    }

    @Override
    public void write(WritePath path, long[] pages, int value) {
        for (long page : pages) {
            memory.set(ValueLayout.JAVA_INT, page, value);
            if (path == WritePath.GUEST) {
                source.guestWrites(page, 1);
            }
        }
    }

    @Override
    public Writing keepWriting(long seed) {
        return new PacedWriters(seed, List.of(random -> {
            long offset = random.nextLong(LAYOUT.lengthBytes() / Long.BYTES) * Long.BYTES;
            memory.set(ValueLayout.JAVA_LONG, offset, random.nextLong());
            source.guestWrites(offset, Long.BYTES);
        }));
    }

    @Override
    public void read(long imageOffset, MemorySegment destination) {
        MemorySegment.copy(memory, imageOffset, destination, 0, destination.byteSize());
    }

    @Override
    public void close() {
    }
}
