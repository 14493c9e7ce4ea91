package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

final class WritebackTest {
    private static final String COUNTERS =
            "nr_dirty 593\nnr_dirty_threshold 10\nnr_dirty_background_threshold 543873\n";

    @Test
    void aCounterIsFoundByItsWholeName() {
        assertThat(Writeback.counter(COUNTERS, "nr_dirty")).hasValue(593);
        assertThat(Writeback.counter(COUNTERS, "nr_dirty_background_threshold")).hasValue(543_873);
        assertThat(Writeback.counter(COUNTERS, "nr_writeback")).isEmpty();
        assertThat(Writeback.counter("nr_dirty many\n", "nr_dirty")).isEmpty();
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void theKernelsCountersAreReadToTheEnd() throws IOException {
        String counters = Files.readString(Path.of("/proc/vmstat"));
        assertThat(Writeback.counter(counters, "nr_dirty_background_threshold")).isPresent();
        FaultyPosix watched = FaultyPosix.host();
        Writeback.isUnderWay(watched.posix());
        assertThat(watched.calls("openat")).isEqualTo(1);
        assertThat(watched.openDescriptors()).isEmpty();
    }

    @Test
    void whereItCannotBeToldItIsNot() {
        Posix without = FaultyPosix.host().every("openat").fails(Errno.ENOENT).posix();
        assertThat(Writeback.isUnderWay(without)).isFalse();
    }
}
