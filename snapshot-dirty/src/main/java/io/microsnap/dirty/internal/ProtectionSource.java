package io.microsnap.dirty.internal;

import io.microsnap.core.GuestLayout;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.SourceOwnership;
import io.microsnap.dirty.WritePath;
import java.io.IOException;
import java.lang.invoke.VarHandle;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Watches a guest by write-protecting its memory, for hypervisors that keep no log: the first write to a page exits,
 * the thread of that vCPU reports it with {@link #faulted} and runs the guest again.
 *
 * <p>Since every exit costs the guest, memory is protected in blocks at first: one write lets the whole block through
 * and reports all of it. Where captures find that little of a block had really changed, it is split, and its pages are
 * let through one at a time; where most of a split block changes, it is joined again. Bits are of pages throughout and
 * only how much a fault lets through changes, so that no bit has to move when a block is split or joined.
 *
 * <p>Faults may be reported by any number of threads, also during a harvest.
 */
public final class ProtectionSource implements DirtySource {
    /** A block of which less than a fourth changed costs captures more than the faults it saves. */
    private static final int SPLIT_ABOVE = 4;
    /** Of a block that would be over-counted less than twofold, one fault is cheaper than many. */
    private static final int JOIN_BELOW = 2;

    private final SourceOwnership ownership = new SourceOwnership();
    private final String name;
    private final WriteProtection protection;
    private final GuestLayout layout;
    private final long blockBytes;
    private final DirtyBitmap written;
    private final DirtyBitmap harvested;
    private final DirtyBitmap split;
    private volatile boolean armed;
    private boolean closed;

    /**
     * A source that is not armed yet.
     *
     * @param name what messages call it
     * @param protection the guest's memory, all of it writable
     * @param blockBytes a power of two, at least a page: 2 MiB is usual
     */
    public ProtectionSource(String name, WriteProtection protection, long blockBytes) {
        this.name = name;
        this.protection = protection;
        this.blockBytes = blockBytes;
        layout = protection.layout();
        split = DirtyBitmap.of(layout, blockBytes);
        written = DirtyBitmap.of(layout);
        harvested = DirtyBitmap.of(layout);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public GuestLayout layout() {
        return layout;
    }

    @Override
    public long blockBytes() {
        return blockBytes;
    }

    @Override
    public SourceOwnership ownership() {
        return ownership;
    }

    /** What the host writes does not pass the guest's protection. */
    @Override
    public Set<WritePath> blindTo() {
        return EnumSet.complementOf(EnumSet.of(WritePath.GUEST));
    }

    /** How many blocks are split into pages at the moment. */
    public long splitBlocks() {
        return split.count();
    }

    /**
     * A write exited at this image offset. When this returns it may be tried again.
     *
     * <p>Writes are let through first and the bit is set then. The other way round a harvest could come in between,
     * take the bit and protect the page, which would then be let through without a bit.
     */
    public void faulted(long imageOffset) throws IOException {
        long unit = split.test(imageOffset) ? layout.pageBytes() : blockBytes;
        long from = imageOffset & -unit;
        long lengthBytes = Math.min(unit, layout.lengthBytes() - from);
        protection.allow(from, lengthBytes);
        VarHandle.fullFence();
        written.mark(from, lengthBytes);
    }

    @Override
    public void arm() throws IOException {
        requireOpen();
        armed = false;
        written.drainInto(harvested);
        harvested.clear();
        protection.protect(0, layout.lengthBytes());
        armed = true;
    }

    /**
     * Bits are taken first, pages protected then, and only after that may memory be copied. The other way round a fault
     * between protecting and taking would lose its bit while its page stays writable.
     */
    @Override
    public void harvest(DirtyBitmap into) throws IOException {
        requireOpen();
        if (!armed) {
            throw new IllegalStateException("the " + name + " is not armed");
        }
        into.requireLayout(layout);
        armed = false;
        written.drainInto(harvested);
        // What lies between two written blocks is protected already, or has been let through just now, with its bit.
        harvested.runs(blockBytes, protection::protect);
        into.or(harvested);
        harvested.clear();
        armed = true;
    }

    @Override
    public void disarm() throws IOException {
        if (!closed) {
            armed = false;
            protection.allow(0, layout.lengthBytes());
        }
    }

    @Override
    public void learn(DirtyBitmap reported, DirtyBitmap changed) {
        DirtyBitmap blocks = reported.folded(blockBytes);
        for (long offset = 0; offset < layout.lengthBytes(); offset += blockBytes) {
            if (blocks.test(offset)) {
                learn(offset, Math.min(blockBytes, layout.lengthBytes() - offset), reported, changed);
            }
        }
    }

    @Override
    public void close() throws IOException {
        if (!closed) {
            try {
                disarm();
            } finally {
                closed = true;
                List.of(written, harvested, split).forEach(DirtyBitmap::release);
            }
        }
    }

    private void learn(long offset, long lengthBytes, DirtyBitmap reported, DirtyBitmap changed) {
        long pages = (lengthBytes + layout.pageBytes() - 1) / layout.pageBytes();
        long really = changed.count(offset, lengthBytes);
        if (split.test(offset)) {
            if (really * JOIN_BELOW >= pages) {
                split.clear(offset, lengthBytes);
            }
        } else if (reported.count(offset, lengthBytes) == pages && really * SPLIT_ABOVE < pages) {
            split.set(offset);
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the " + name + " is closed");
        }
    }
}
