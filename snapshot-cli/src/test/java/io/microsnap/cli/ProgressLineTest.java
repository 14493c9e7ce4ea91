package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class ProgressLineTest {
    private static final long MILLISECOND = 1_000_000;

    private final ByteArrayOutputStream drawn = new ByteArrayOutputStream();
    private long now;

    private ProgressLine line(PrintStream terminal) {
        return new ProgressLine("copy", terminal, new Interruption(), () -> now);
    }

    private PrintStream terminal() {
        return new PrintStream(drawn, true, StandardCharsets.UTF_8);
    }

    @Test
    void nothingIsDrawnInTheFirstHalfSecond() throws Exception {
        try (ProgressLine line = line(terminal())) {
            now = 499 * MILLISECOND;
            line.advanced(1, 2);
        }
        assertThat(drawn.toString(StandardCharsets.UTF_8)).isEmpty();
    }

    @Test
    void bytesRateAndTimeLeftAreDrawnAndWipedAtTheEnd() throws Exception {
        try (ProgressLine line = line(terminal())) {
            now = 1000 * MILLISECOND;
            line.advanced(100 << 20, 300 << 20);
            now += MILLISECOND;
            line.advanced(101 << 20, 300 << 20);
        }
        String text = "copy: 100 MiB of 300 MiB, 100 MiB/s, 3.00 s left";
        assertThat(drawn.toString(StandardCharsets.UTF_8))
                .isEqualTo("\r" + text + "\r" + " ".repeat(text.length()) + "\r");
    }

    @Test
    void whereNobodyWatchesNothingIsDrawn() throws Exception {
        try (ProgressLine line = line(null)) {
            now = 5000 * MILLISECOND;
            line.advanced(1, 2);
        }
        assertThat(drawn.toString(StandardCharsets.UTF_8)).isEmpty();
    }
}
