package io.microsnap.memory.misuse;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** What this process has open and mapped, and how much it may map. */
public final class ProcessLimits {
    private ProcessLimits() {
    }

    /** How many mappings this process has. */
    public static long mappings() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
            return lines.count();
        }
    }

    /** How many it may have: {@code vm.max_map_count}. */
    public static long mostMappings() throws IOException {
        // The kernel tells it to the first read alone, and Files.readString begins with a single byte.
        byte[] text = new byte[32];
        try (InputStream limit = Files.newInputStream(Path.of("/proc/sys/vm/max_map_count"))) {
            int length = limit.read(text);
            return Long.parseLong(new String(text, 0, length, StandardCharsets.US_ASCII).strip());
        }
    }

    /** How many descriptors it has open. */
    public static long descriptors() throws IOException {
        try (Stream<Path> open = Files.list(Path.of("/proc/self/fd"))) {
            return open.count();
        }
    }
}
