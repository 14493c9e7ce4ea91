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

/** Reports the kernel's writeback of dirty page cache. */
public final class Writeback {
    private static final String COUNTERS = "/proc/vmstat";
    private static final long LONGEST = 64 << 10;

    private Writeback() {
    }

    /**
     * Returns whether the kernel writes dirty pages back in the background, of any file, because there are so many;
     * false where that is unknown. A write to a file under writeback waits for it, page by page.
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

    /** Returns the number in the line that starts with this name. */
    static OptionalLong counter(String counters, String name) {
        return counters.lines().filter(line -> line.startsWith(name + ' '))
                .map(line -> line.substring(name.length() + 1).strip())
                .filter(number -> number.matches("[0-9]{1,18}")).mapToLong(Long::parseLong).findFirst();
    }
}
