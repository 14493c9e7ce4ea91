package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

final class AvailableMemoryTest {
    private static final long MIB = 1L << 20;

    @TempDir
    private Path root;

    @BeforeEach
    void aSystemWithAGibibyte() throws IOException {
        write("proc/meminfo", "MemTotal:      4194304 kB\nMemFree:        102400 kB\nMemAvailable:   1048576 kB\n");
    }

    @Test
    void withoutAGroupItIsWhatTheSystemHas() throws IOException {
        assertThat(available()).isEqualTo(1024 * MIB);
        write("proc/self/cgroup", "0::/\n");
        assertThat(available()).isEqualTo(1024 * MIB);
    }

    @Test
    void theTightestLimitOfTheGroupAndThoseAboveItCounts() throws IOException {
        write("proc/self/cgroup", "0::/vms/one\n");
        write("groups/vms/one/memory.max", "max\n");
        write("groups/vms/one/memory.current", Long.toString(50 * MIB));
        write("groups/vms/memory.max", Long.toString(300 * MIB));
        write("groups/vms/memory.current", Long.toString(200 * MIB));
        write("groups/vms/memory.stat", "anon 5\nfile 7\ninactive_file " + 60 * MIB + "\nactive_file 1\n");
        assertThat(available()).isEqualTo(160 * MIB);
        write("groups/vms/one/memory.max", Long.toString(60 * MIB));
        assertThat(available()).isEqualTo(10 * MIB);
        write("groups/vms/one/memory.max", Long.toString(40 * MIB));
        assertThat(available()).isZero();
    }

    @Test
    void theFirstVersionsMemoryControllerCountsToo() throws IOException {
        write("proc/self/cgroup", "9:name=systemd:/\n5:cpu,memory:/vms\n0::/\n");
        write("groups/memory/memory.limit_in_bytes", "9223372036854771712");
        write("groups/memory/memory.usage_in_bytes", Long.toString(900 * MIB));
        assertThat(available()).isEqualTo(1024 * MIB);
        write("groups/memory/vms/memory.limit_in_bytes", Long.toString(100 * MIB));
        write("groups/memory/vms/memory.usage_in_bytes", Long.toString(90 * MIB));
        write("groups/memory/vms/memory.stat", "inactive_file 1\ntotal_inactive_file " + 30 * MIB + "\n");
        assertThat(available()).isEqualTo(40 * MIB);
    }

    @Test
    void aPathThatLeadsOutsideIsNotFollowed() throws IOException {
        write("proc/self/cgroup", "0::/../../secret\n");
        write("secret/memory.max", "1");
        write("secret/memory.current", "0");
        assertThat(available()).isEqualTo(1024 * MIB);
    }

    @Test
    void whatIsNotToldIsNotInvented() throws IOException {
        write("proc/meminfo", "MemTotal: 5 kB\n");
        assertThat(memory().bytes()).isEmpty();
        write("proc/meminfo", "MemAvailable: lots\n");
        assertThat(memory().bytes()).isEmpty();
    }

    @Test
    @EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere there is no /proc")
    void thisMachineTells() {
        assertThat(AvailableMemory.ofProcess().bytes().orElseThrow()).isPositive();
    }

    private AvailableMemory memory() {
        return new AvailableMemory(root.resolve("proc"), root.resolve("groups"));
    }

    private long available() {
        return memory().bytes().orElseThrow();
    }

    private void write(String name, String content) throws IOException {
        Path file = root.resolve(name);
        Files.createDirectories(file.getParent());
        Files.writeString(file, content);
    }
}
