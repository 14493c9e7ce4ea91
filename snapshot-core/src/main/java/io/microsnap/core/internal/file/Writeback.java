package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.OptionalLong;

/** Tells what the kernel is about to do with pages of files that are written and not yet on disk. */
public final class Writeback {
    private static final String COUNTERS = "/proc/vmstat";
    private static final long LONGEST = 64 << 10;

    private Writeback() {
    }

    /**
     * Whether so much is unwritten that the kernel writes it back in the background, whatever file it is of; false
     * where that cannot be told. A write to a file that is being written back waits for that, page by page.
     */
    public static boolean isUnderWay(Posix posix) {
        try {
            String counters = counters(posix);
            OptionalLong limit = counter(counters, "nr_dirty_background_threshold");
            OptionalLong dirty = counter(counters, "nr_dirty");
            return limit.isPresent() && dirty.isPresent() && dirty.getAsLong() >= limit.getAsLong();
        } catch (IOException notToBeTold) {
            return false;
        }
    }

    private static String counters(Posix posix) throws IOException {
        try (Descriptor file = Descriptor.open(posix, Path.of(COUNTERS), posix.constants().O_RDONLY, 0);
                Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(LONGEST);
            long length = 0;
            long read = file.read(buffer, 0);
            while (read > 0 && length + read < LONGEST) {
                length += read;
                read = file.read(buffer.asSlice(length), length);
            }
            return new String(buffer.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.US_ASCII);
        }
    }

    /** The number in the line that begins with this name. */
    static OptionalLong counter(String counters, String name) {
        return counters.lines().filter(line -> line.startsWith(name + ' '))
                .map(line -> line.substring(name.length() + 1).strip())
                .filter(number -> number.matches("[0-9]{1,18}")).mapToLong(Long::parseLong).findFirst();
    }
}
