package io.microsnap.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads what Linux says about memory. */
final class Memory {
    private static final Path MEMINFO = Path.of("/proc/meminfo");
    private static final long KIBI = 1024;

    private Memory() {
    }

    /** What can be had without swapping; everything where the system does not say. */
    static long availableBytes() throws IOException {
        return of("MemAvailable:");
    }

    static long totalBytes() throws IOException {
        return of("MemTotal:");
    }

    private static long of(String name) throws IOException {
        if (!Files.isReadable(MEMINFO)) {
            return Long.MAX_VALUE;
        }
        return Files.readAllLines(MEMINFO).stream().filter(line -> line.startsWith(name))
                .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) * KIBI)
                .findFirst().orElse(Long.MAX_VALUE);
    }
}
