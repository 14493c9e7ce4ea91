package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SizesTest {
    @ParameterizedTest
    @CsvSource({"0,0 B", "999,999 B", "1000,0.98 KiB", "1024,1.00 KiB", "1536,1.50 KiB", "1048576,1.00 MiB",
        "536870912,512 MiB", "1073741824,1.00 GiB", "70368744177664,64.0 TiB"})
    void bytesHaveThreeFiguresAndABinaryUnit(long bytes, String shown) {
        assertThat(Sizes.bytes(bytes)).isEqualTo(shown);
    }

    @Test
    void timesHaveThreeFiguresAndAUnit() {
        assertThat(Sizes.time(Duration.ofNanos(12_345))).isEqualTo("12.3 us");
        assertThat(Sizes.time(Duration.ofNanos(1_234_567))).isEqualTo("1.23 ms");
        assertThat(Sizes.time(Duration.ofMillis(999))).isEqualTo("999 ms");
        assertThat(Sizes.time(Duration.ofSeconds(65))).isEqualTo("65.0 s");
    }

    @ParameterizedTest
    @CsvSource({"0,0", "65536,65536", "512M,536870912", "4GiB,4294967296", "1 k,1024", "2t,2199023255552"})
    void sizesAreReadAsTheyAreWritten(String text, long bytes) {
        assertThat(Sizes.parseBytes(text)).isEqualTo(bytes);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "M", "-1M", "1.5G", "4X", "0x10", "99999999999999999999", "99999999T"})
    void whatIsNoSizeIsRefusedByName(String text) {
        assertThatThrownBy(() -> Sizes.parseBytes(text)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("'" + text + "'");
    }
}
