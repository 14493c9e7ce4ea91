package io.microsnap.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.Region;
import io.microsnap.core.internal.posix.Posix;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Where the memory of a VMM's slots lies in the image; it is not looked at. */
class AttachedMemoryTest {
    private static final int PAGE = 4096;
    private static final Posix POSIX = Posix.host();
    private static final int MIB = 1 << 20;
    private static final long HOST = 1L << 30;
    private static final MemorySlot LARGE = new MemorySlot(1, new Region(0, 8 * MIB), HOST);
    private static final MemorySlot PART = new MemorySlot(0, new Region(1L << 32, MIB), HOST + 2 * MIB);
    private static final MemorySlot OTHER = new MemorySlot(2, new Region(16 * MIB, MIB), 2 * HOST);

    @Test
    void whatShowsAPartOfAnotherSlotsMemoryIsItsAliasInWhateverOrderTheyAreNamed() {
        for (List<MemorySlot> slots : List.of(List.of(PART, LARGE, OTHER), List.of(OTHER, LARGE, PART))) {
            AttachedMemory memory = AttachedMemory.behind(POSIX, slots);
            assertThat(memory.layout().regions()).containsExactly(LARGE.guest(), OTHER.guest());
            assertThat(memory.imageOffset(LARGE)).isZero();
            assertThat(memory.imageOffset(PART)).isEqualTo(2 * MIB);
            assertThat(memory.imageOffset(OTHER)).isEqualTo(8 * MIB);
            assertThat(memory.mapping(0).address()).isEqualTo(HOST);
            assertThat(memory.mapping(1).address()).isEqualTo(2 * HOST);
            assertThat(memory.mayBeTruncated()).as("the VMM may have mapped a file").isTrue();
            memory.close();
        }
    }

    @Test
    void slotsThatAreNotOnPagesAndMemoryThatWasNotAttachedToAreRefused() {
        for (MemorySlot odd : List.of(new MemorySlot(0, new Region(0, PAGE), HOST + 1),
                new MemorySlot(0, new Region(1, PAGE), HOST), new MemorySlot(0, new Region(0, PAGE + 1), HOST),
                new MemorySlot(0, new Region(0, PAGE), 0))) {
            assertThatThrownBy(() -> AttachedMemory.behind(POSIX, List.of(odd)))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("pages of 4096");
        }
        AttachedMemory memory = AttachedMemory.behind(POSIX, List.of(LARGE));
        assertThatThrownBy(() -> memory.imageOffset(OTHER)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("not attached");
        memory.close();
    }
}
