package io.microsnap.benchmarks;

import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.BufferedReader;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.LongPredicate;

/** Reads from the kernel which memory files and mappings take, and how often a process had to wait for a page. */
final class Residency {
    private static final int PAGE = Guest.PAGE;
    private static final int CHUNK = 1 << 20;
    private static final long KIBI = 1024;
    private static final int MINOR = 7;
    private static final int MAJOR = 9;

    private Residency() {
    }

    /** Page faults of a process. */
    record Faults(long minor, long major) {
        Faults since(Faults earlier) {
            return new Faults(minor - earlier.minor, major - earlier.major);
        }
    }

    static Faults faults() throws IOException {
        String stat = Files.readString(Path.of("/proc/self/stat"));
        // The name in parentheses may hold spaces.
        String[] words = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
        return new Faults(Long.parseLong(words[MINOR]), Long.parseLong(words[MAJOR]));
    }

    /** The page cache of files. */
    static long pageCacheBytes(List<Path> files) throws IOException {
        long bytes = 0;
        Posix posix = Posix.host();
        for (Path path : files) {
            try (Descriptor file = Descriptor.open(posix, path, posix.constants().O_RDONLY, 0);
                    Mapping mapping = Mapping.file(file, 0, file.sizeBytes(), Access.PRIVATE);
                    Arena arena = Arena.ofConfined()) {
                long pages = Math.ceilDiv(mapping.lengthBytes(), (long) PAGE);
                MemorySegment resident = arena.allocate(pages);
                file.check("mincore", posix.mincore(mapping.address(), mapping.lengthBytes(), resident), "");
                for (long page = 0; page < pages; page++) {
                    bytes += (resident.get(ValueLayout.JAVA_BYTE, page) & 1) * (long) PAGE;
                }
            }
        }
        return bytes;
    }

    /** The share of memory that those mappings of a process are charged with whose first address is asked for. */
    static long proportionalBytes(long process, LongPredicate asked) throws IOException {
        long bytes = 0;
        boolean inside = false;
        try (BufferedReader maps = Files.newBufferedReader(Path.of("/proc/" + process + "/smaps"))) {
            for (String line = maps.readLine(); line != null; line = maps.readLine()) {
                if (line.startsWith("Pss:")) {
                    bytes += inside ? Long.parseLong(line.replaceAll("[^0-9]", "")) * KIBI : 0;
                } else if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                    inside = asked.test(Long.parseUnsignedLong(line.substring(0, line.indexOf('-')), 16));
                }
            }
        }
        return bytes;
    }

    /** Reads what a file holds, without its holes: those would fill the page cache with zeros. */
    static void readData(Path path) throws IOException {
        Posix posix = Posix.host();
        try (Descriptor file = Descriptor.open(posix, path, posix.constants().O_RDONLY, 0);
                Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(CHUNK, PAGE);
            Extents.data(file, (offset, length) -> {
                for (long done = 0; done < length; done += CHUNK) {
                    file.readFully(buffer.asSlice(0, Math.min(CHUNK, length - done)), offset + done);
                }
            });
        }
    }
}
