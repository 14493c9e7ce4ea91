package io.microsnap.kvm;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.work.Closing;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.SourceOwnership;
import io.microsnap.dirty.WritePath;
import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/** What KVM's dirty sources have in common: slots are switched to logging, and must stay the same while it lasts. */
abstract sealed class SlotSource implements DirtySource permits DirtyLogSource, DirtyRingSource {
    private final MemorySlots slots;
    private final GuestLayout layout;
    private final List<MemorySlots.Placed> watched = new ArrayList<>();
    private volatile long changesWhenArmed;
    private boolean armed;
    private boolean closed;

    SlotSource(MemorySlots slots) {
        this.slots = slots;
        layout = slots.memory().layout();
    }

    @Override
    public final GuestLayout layout() {
        return layout;
    }

    @Override
    public final long blockBytes() {
        return layout.pageBytes();
    }

    /** One for all sources of these slots: KVM keeps one log for each slot, and who reads it takes from it. */
    @Override
    public final SourceOwnership ownership() {
        return slots.ownership();
    }

    /** KVM sees what vCPUs write and what it writes itself for them. */
    @Override
    public final Set<WritePath> blindTo() {
        return EnumSet.complementOf(EnumSet.of(WritePath.GUEST));
    }

    @Override
    public final synchronized void arm() throws IOException {
        if (closed) {
            throw new IllegalStateException("the " + name() + " is closed");
        }
        if (armed && changesWhenArmed != slots.changes()) {
            disarm();
        }
        if (!armed) {
            changesWhenArmed = slots.changes();
            for (MemorySlots.Placed placed : slots.all()) {
                watch(placed);
            }
            armed = true;
        }
        begin(watched);
    }

    private void watch(MemorySlots.Placed placed) throws IOException {
        try {
            slots.log(placed.slot());
            watched.add(placed);
        } catch (Throwable failure) {
            Closing.closeAfter(failure, this::unwatch);
            throw failure;
        }
    }

    @Override
    public final void harvest(DirtyBitmap into) throws IOException {
        if (!isKnownToBeEmpty() || changesWhenArmed != slots.changes() || !into.layout().equals(layout)) {
            harvestLocked(into);
        }
    }

    private synchronized void harvestLocked(DirtyBitmap into) throws IOException {
        if (!armed) {
            throw new IllegalStateException("the " + name() + " is not armed");
        }
        if (!into.layout().equals(layout)) {
            throw new IllegalArgumentException("a bitmap of " + into.layout() + " for a guest of " + layout);
        }
        if (changesWhenArmed != slots.changes()) {
            throw new SnapshotException("memory slots were added, moved or removed since the " + name()
                    + " was armed: what was written through them is not known");
        }
        collect(into);
    }

    @Override
    public final synchronized void disarm() throws IOException {
        if (armed) {
            armed = false;
            unwatch();
        }
    }

    /** Every slot that is still there is put back, whatever fails. */
    private void unwatch() throws IOException {
        List<MemorySlots.Placed> present = slots.all();
        IOException first = null;
        for (MemorySlots.Placed placed : watched) {
            try {
                if (present.contains(placed) && isLogging(placed.slot())) {
                    slots.stopLogging(placed.slot());
                }
            } catch (IOException failure) {
                first = first == null ? failure : first;
            }
        }
        watched.clear();
        end();
        if (first != null) {
            throw first;
        }
    }

    final synchronized boolean isClosed() {
        return closed;
    }

    @Override
    public final synchronized void close() throws IOException {
        if (!closed) {
            closed = true;
            try {
                disarm();
            } finally {
                end();
            }
        }
    }

    /** Whether a slot is there and logs: a VMM may have removed it without a word, and it must not come back. */
    abstract boolean isLogging(MemorySlot slot) throws IOException;

    /**
     * Whether it is certain, without asking KVM or taking a lock, that the slots are armed and there is nothing to
     * collect.
     */
    abstract boolean isKnownToBeEmpty();

    /** The slots are logging: forget what they saw until now. */
    abstract void begin(List<MemorySlots.Placed> watching) throws IOException;

    /** Adds what they saw since then, or since the last time. */
    abstract void collect(DirtyBitmap into) throws IOException;

    /** The slots are logging no more: let go of what {@link #begin} made. Allowed at any time. */
    abstract void end() throws IOException;
}
