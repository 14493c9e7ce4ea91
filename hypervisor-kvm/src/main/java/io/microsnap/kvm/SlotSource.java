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

/** The common part of KVM's dirty sources: slots are switched to logging, and must stay the same meanwhile. */
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

    /**
     * Returns one ownership for all sources of these slots: KVM keeps one log for each slot, and reading takes from it.
     */
    @Override
    public final SourceOwnership ownership() {
        return slots.ownership();
    }

    /** Returns every way but writes by vCPUs and by KVM on their behalf. */
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
                    + " was armed: writes through them are unknown");
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

    /** Restores every slot that still exists, whatever fails. */
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

    /**
     * Returns whether a slot exists and logs: a VMM may have removed it without notice, and it must not be registered
     * again.
     */
    abstract boolean isLogging(MemorySlot slot) throws IOException;

    /**
     * Returns whether it is certain, without a call to KVM or a lock, that the slots are armed and there is nothing to
     * collect.
     */
    abstract boolean isKnownToBeEmpty();

    /** Discards earlier writes, once the slots are logging. */
    abstract void begin(List<MemorySlots.Placed> watching) throws IOException;

    /** Adds the writes since then, or since the last call. */
    abstract void collect(DirtyBitmap into) throws IOException;

    /** Frees what {@link #begin} made, once the slots no longer log. Allowed at any time. */
    abstract void end() throws IOException;
}
