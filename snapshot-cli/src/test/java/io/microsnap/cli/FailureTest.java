package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.CancelledException;
import io.microsnap.core.DamagedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import org.junit.jupiter.api.Test;

class FailureTest {
    @Test
    void eachKindOfFailureHasItsStatus() {
        assertThat(Failure.of(new CancelledException("stopped")).status()).isEqualTo(130);
        assertThat(Failure.of(new DamagedException("memory.idx: bad")).status()).isEqualTo(3);
        assertThat(Failure.of(new IllegalArgumentException("no")).status()).isEqualTo(2);
        assertThat(Failure.of(new NoSuchFileException("x")).status()).isEqualTo(1);
        assertThat(Failure.of(new IllegalStateException()).message()).contains("IllegalStateException");
    }

    @Test
    void aMessageIsOneLineThatAPersonUnderstands() {
        assertThat(Failure.of(new FileAlreadyExistsException("/a")).message()).isEqualTo("/a: it exists already");
        assertThat(Failure.of(new NoSuchFileException("/a", null, "open failed with ENOENT")).message())
                .isEqualTo("/a: it does not exist (open failed with ENOENT)");
        assertThat(Failure.of(new NoSuchFileException("/s/a", null, "the store has no snapshot a")).message())
                .isEqualTo("/s/a: the store has no snapshot a");
        assertThat(Failure.of(new DamagedException("one\n  two")).message()).isEqualTo("one; two");
    }
}
