package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.Region;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

@EnabledOnOs(OS.LINUX)
class GuestRamTest {
    private static final int PAGE = Posix.host().getpagesize();
    private static final GuestLayout LAYOUT = GuestLayout.of(PAGE, List.of(
            new Region(0, 4L * PAGE), new Region(1L << 32, 8L * PAGE)));

    @Test
    void regionsLieOneAfterAnotherAndSayWhatOfThemWasPopulated() throws IOException {
        for (GuestRam ram : List.of(GuestRam.anonymous(Posix.host(), LAYOUT, HugePages.NONE),
                GuestRam.memfd(Posix.host(), LAYOUT, HugePages.NONE))) {
            try (ram) {
                MemorySegment low = ram.mapping(0);
                MemorySegment high = ram.mapping(1);
                assertThat(low.byteSize()).isEqualTo(4L * PAGE);
                assertThat(high.address()).isEqualTo(low.address() + low.byteSize());
                high.set(ValueLayout.JAVA_LONG, 2L * PAGE, 7);
                List<Region> populated = new ArrayList<>();
                ram.populated(3L * PAGE, 9L * PAGE, (offset, length) -> populated.add(new Region(offset, length)));
                assertThat(populated).containsExactly(new Region(6L * PAGE, PAGE));
                assertThatThrownBy(() -> ram.populated(0, LAYOUT.lengthBytes() + PAGE, (offset, length) -> { }))
                        .isInstanceOf(IndexOutOfBoundsException.class);
            }
        }
    }

    @Test
    void aMappingOfAnotherLengthIsRefused() throws IOException {
        try (Mapping image = Mapping.anonymous(Posix.host(), PAGE, HugePages.NONE)) {
            assertThatThrownBy(() -> GuestRam.of(LAYOUT, image)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining(Long.toString(LAYOUT.lengthBytes()));
        }
    }

    @Test
    void onlySharedMemoryHasADescriptor() throws IOException {
        try (GuestRam anonymous = GuestRam.anonymous(Posix.host(), LAYOUT, HugePages.NONE);
                GuestRam shared = GuestRam.memfd(Posix.host(), LAYOUT, HugePages.NONE)) {
            assertThat(anonymous.memfd()).isEmpty();
            assertThat(shared.memfd()).isPresent();
        }
    }
}
