package io.microsnap.vmm.internal.firecracker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.Region;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

class FirecrackerFilesTest {
    private static final long GIB = 1L << 30;

    @Test
    void theChecksumIsFirecrackers() {
        // The vector of Firecracker's own test.
        assertThat(StateFile.crc64("123456789".getBytes(StandardCharsets.UTF_8))).isEqualTo(0xE9C6D914C4B8D9CAL);
    }

    @Test
    void ramLiesWhereTheReleaseHasIt() throws Exception {
        assertThat(regions("1.13.0", false, 2 * GIB)).containsExactly(new Region(0, 2 * GIB));
        assertThat(regions("1.13.0", false, 8 * GIB)).containsExactly(new Region(0, 3 * GIB),
                new Region(4 * GIB, 5 * GIB));
        assertThat(regions("1.17.0-dev", false, 300 * GIB)).containsExactly(new Region(0, 3 * GIB),
                new Region(4 * GIB, 252 * GIB), new Region(512 * GIB, 45 * GIB));
        assertThat(regions("1.12.1", false, 8 * GIB)).containsExactly(new Region(0, 13 * GIB / 4),
                new Region(4 * GIB, 19 * GIB / 4));
        assertThat(regions("1.13.0", true, 300 * GIB)).containsExactly(new Region(2 * GIB, 254 * GIB),
                new Region(512 * GIB, 46 * GIB));
    }

    private static List<Region> regions(String version, boolean arm, long sizeBytes) throws Exception {
        return FirecrackerLayout.of(Version.parse(version), arm, sizeBytes, 4096).regions();
    }

    @Test
    void unknownReleasesAreRefused() {
        for (String text : List.of("0.25.0", "1.4.0", "2.0.0", "1.13", "1.13.x", "\u0007", "1.99999.0")) {
            assertThatThrownBy(() -> Version.parse(text)).as(text).hasMessageContaining("not a known release");
        }
    }
}
