package io.microsnap.core.testing;

import io.microsnap.core.internal.file.Access;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** What the page cache holds of files, as {@code mincore} tells. */
public final class PageCache {
    private PageCache() {
    }

    /** How much of a file, or of all files below a directory, is in the page cache. */
    public static long residentBytes(Path path) throws IOException {
        if (!Files.isDirectory(path)) {
            return ofFile(path);
        }
        List<Path> files;
        try (Stream<Path> walk = Files.walk(path)) {
            files = walk.filter(Files::isRegularFile).toList();
        }
        long resident = 0;
        for (Path file : files) {
            resident += ofFile(file);
        }
        return resident;
    }

    private static long ofFile(Path path) throws IOException {
        if (Files.size(path) == 0) {
            return 0;
        }
        Posix posix = Posix.host();
        try (Descriptor open = Descriptor.open(posix, path, posix.constants().O_RDONLY, 0);
                Mapping mapping = Mapping.file(open, 0, Files.size(path), Access.SHARED_READ);
                Arena arena = Arena.ofConfined()) {
            long pages = Math.ceilDiv(mapping.lengthBytes(), (long) posix.getpagesize());
            MemorySegment residency = arena.allocate(pages);
            open.check("mincore", posix.mincore(mapping.segment().address(), mapping.lengthBytes(), residency), "");
            long resident = 0;
            for (long page = 0; page < pages; page++) {
                resident += residency.get(ValueLayout.JAVA_BYTE, page) & 1;
            }
            return resident * posix.getpagesize();
        }
    }

    /** Writes a file's pages to disk and drops them from the page cache. */
    public static void drop(Path path) throws IOException {
        Posix posix = Posix.host();
        Constants constants = posix.constants();
        try (Descriptor open = Descriptor.open(posix, path, constants.O_RDWR, 0)) {
            open.sync();
            open.check("posix_fadvise", posix.posix_fadvise(open.number(), 0, 0, constants.POSIX_FADV_DONTNEED), "");
        }
    }
}
