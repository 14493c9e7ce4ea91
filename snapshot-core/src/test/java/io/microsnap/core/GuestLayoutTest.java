package io.microsnap.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

class GuestLayoutTest {
    private static final long GIB = 1L << 30;
    private final GuestLayout twoRegions =
            GuestLayout.of(4096, List.of(new Region(0, 3 * GIB), new Region(4 * GIB, 5 * GIB)));

    @Test
    void regionsLieEndToEndInTheImage() {
        assertThat(twoRegions.lengthBytes()).isEqualTo(8 * GIB);
        assertThat(twoRegions.pageCount()).isEqualTo(8 * GIB / 4096);
        assertThat(twoRegions.imageOffset(1)).isEqualTo(3 * GIB);
        assertThat(twoRegions.regionAt(3 * GIB - 1)).isZero();
        assertThat(twoRegions.regionAt(3 * GIB)).isEqualTo(1);
        assertThat(twoRegions.guestAddress(3 * GIB)).isEqualTo(4 * GIB);
        assertThat(twoRegions.imageOffsetOf(4 * GIB + 7)).isEqualTo(3 * GIB + 7);
        assertThat(twoRegions.imageOffsetOf(3 * GIB)).as("the hole below 4 GiB").isEqualTo(-1);
    }

    @Test
    void everyRegionIsFoundByItsFirstAndLastByte() {
        List<Region> regions = java.util.stream.LongStream.range(0, 37)
                .mapToObj(index -> new Region(index * 65536, 4096 * (1 + index % 5))).toList();
        GuestLayout layout = GuestLayout.of(4096, regions);
        for (int index = 0; index < regions.size(); index++) {
            long first = layout.imageOffset(index);
            long last = first + regions.get(index).lengthBytes() - 1;
            assertThat(layout.regionAt(first)).isEqualTo(index);
            assertThat(layout.regionAt(last)).isEqualTo(index);
            assertThat(layout.imageOffsetOf(layout.guestAddress(last))).isEqualTo(last);
        }
    }

    @Test
    void whatIsNoLayoutIsRefusedWithItsNumbers() {
        assertThatThrownBy(() -> GuestLayout.ofSingleRegion(5000, 10000)).hasMessageContaining("5000");
        assertThatThrownBy(() -> GuestLayout.ofSingleRegion(2048, 4096)).hasMessageContaining("2048");
        assertThatThrownBy(() -> GuestLayout.of(4096, List.of())).hasMessageContaining("at least one");
        assertThatThrownBy(() -> GuestLayout.ofSingleRegion(4096, 5000)).hasMessageContaining("5000");
        assertThatThrownBy(() -> GuestLayout.of(4096, List.of(new Region(0, 8192), new Region(4096, 4096))))
                .hasMessageContaining("8192");
        assertThatThrownBy(() -> new Region(Long.MAX_VALUE - 10, 4096)).hasMessageContaining("4096");
        assertThatThrownBy(() -> twoRegions.regionAt(8 * GIB)).isInstanceOf(IndexOutOfBoundsException.class);
    }

    @Test
    void onlyTheLastRegionOfAnImportedImageMayEndInMidPage() {
        assertThat(GuestLayout.ofImportedImage(4096, List.of(new Region(0, 5000))).pageCount()).isEqualTo(2);
        assertThatThrownBy(() -> GuestLayout.ofImportedImage(4096,
                List.of(new Region(0, 5000), new Region(8192, 4096)))).hasMessageContaining("5000");
    }
}
