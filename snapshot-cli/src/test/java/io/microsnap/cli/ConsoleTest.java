package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.CancelledException;
import io.microsnap.core.internal.posix.Posix;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ConsoleTest {
    private final ByteArrayOutputStream results = new ByteArrayOutputStream();
    private final ByteArrayOutputStream remarks = new ByteArrayOutputStream();

    @Test
    void aProgramGetsOneDocumentAlsoFromACommandThatFailsAfterItsReport() throws IOException {
        Console console = console();
        console.report(new Document().put("cancelled", true));
        console.fail(Failure.of(new CancelledException("interrupted")));
        assertThat(parsed()).isEqualTo(Map.of("cancelled", true));
        assertThat(remarks.toString(StandardCharsets.UTF_8)).isEqualTo("microsnap: interrupted\n");
    }

    @Test
    void aProgramGetsTheFailureOfACommandThatReportedNothing() throws IOException {
        console().fail(Failure.of(new CancelledException("interrupted")));
        assertThat(parsed()).isEqualTo(Map.of("ok", false, "status", 130L, "error", "interrupted"));
    }

    private Console console() {
        CommonOptions options = new CommonOptions();
        options.json = true;
        return new Console(Posix.host(), options, new Interruption(), stream(results), stream(remarks));
    }

    private static PrintStream stream(ByteArrayOutputStream to) {
        return new PrintStream(to, true, StandardCharsets.UTF_8);
    }

    private Object parsed() throws IOException {
        return Launcher.parse(results.toString(StandardCharsets.UTF_8));
    }
}
