package io.microsnap.kvm;

import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;
import java.util.List;

/** The dirty rings of a VM's vCPUs as one source. */
final class DirtyRingSource extends SlotSource {
    private final DirtyRings rings;

    DirtyRingSource(MemorySlots slots, DirtyRings rings) {
        super(slots);
        this.rings = rings;
    }

    @Override
    public String name() {
        return "KVM dirty ring";
    }

    @Override
    boolean isLogging(MemorySlot slot) {
        return true;
    }

    @Override
    boolean isKnownToBeEmpty() {
        return rings.areKnownToBeEmpty();
    }

    @Override
    void begin(List<MemorySlots.Placed> watching) throws IOException {
        rings.forget();
    }

    @Override
    void collect(DirtyBitmap into) throws IOException {
        rings.takeInto(into);
    }

    /** Discards what was logged until the end. */
    @Override
    void end() throws IOException {
        rings.letGo();
    }
}
