package io.microsnap.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.kvm.internal.abi.Numbers;
import io.microsnap.kvm.internal.abi.Structs;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Entries laid out as the kernel's headers have them, in memory that nobody shares. */
class DirtyRingTest {
    private static final long ENTRIES = 8;
    private static final long LARGEST_PAGE = -1L;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory = arena.allocate(ENTRIES * DirtyRing.ENTRY_BYTES, Long.BYTES);
    private final DirtyRing ring = new DirtyRing(memory);

    @AfterEach
    void unmap() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }

    @Test
    void anEntryNamesSlotAndPageAndIsGivenBackOnItsOwn() {
        put(0, Numbers.KVM_DIRTY_GFN_F_DIRTY, 3, LARGEST_PAGE);
        put(1, Numbers.KVM_DIRTY_GFN_F_DIRTY, 0x1_0002, 7);

        assertThat(ring.isDirty(0)).isTrue();
        assertThat(DirtyRing.slot(ring.head(0))).isEqualTo(3);
        assertThat(ring.page(0)).isEqualTo(LARGEST_PAGE);
        // In system management mode.
        assertThat(DirtyRing.slot(ring.head(1))).isEqualTo(2);
        assertThat(ring.page(1)).isEqualTo(7);

        ring.giveBack(0);
        assertThat(flags(0)).isEqualTo(Numbers.KVM_DIRTY_GFN_F_RESET);
        assertThat(ring.isDirty(0)).isFalse();
        assertThat(DirtyRing.isDirtyHead(ring.head(0))).isFalse();
        assertThat(ring.isDirty(1)).isTrue();
    }

    @Test
    void theRingIsGoneRoundAsOftenAsItTakes() {
        put(5, Numbers.KVM_DIRTY_GFN_F_DIRTY, 0, 9);
        long number = (1L << 40) * ENTRIES + 5;
        assertThat(ring.isDirty(number)).isTrue();
        assertThat(ring.page(number)).isEqualTo(9);
        ring.giveBack(number);
        assertThat(flags(5)).isEqualTo(Numbers.KVM_DIRTY_GFN_F_RESET);
    }

    @Test
    void aRingThatIsUnmappedCanBeAskedAndSaysSo() {
        arena.close();
        assertThatThrownBy(() -> ring.isDirty(0)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void aRingIsAPowerOfTwoOfWholeEntries() {
        for (long bytes : new long[] {3 * DirtyRing.ENTRY_BYTES, DirtyRing.ENTRY_BYTES + 1}) {
            assertThatThrownBy(() -> new DirtyRing(memory.asSlice(0, bytes)))
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }

    private void put(long entry, int flags, int slot, long page) {
        MemorySegment at = memory.asSlice(entry * DirtyRing.ENTRY_BYTES);
        Structs.member(Structs.KVM_DIRTY_GFN, "slot").set(at, slot);
        Structs.member(Structs.KVM_DIRTY_GFN, "offset").set(at, page);
        Structs.member(Structs.KVM_DIRTY_GFN, "flags").set(at, flags);
    }

    private int flags(long entry) {
        return memory.get(ValueLayout.JAVA_INT, entry * DirtyRing.ENTRY_BYTES);
    }
}
