package io.microsnap.core.posix;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** What {@code getdents64} fills its buffer with. */
final class DirectoryEntries {
    private static final long LENGTH = 16;
    private static final long NAME = 19;

    private DirectoryEntries() {
    }

    static void read(MemorySegment entries, List<String> names) {
        long at = 0;
        while (at < entries.byteSize()) {
            String name = entries.getString(at + NAME);
            if (!name.equals(".") && !name.equals("..")) {
                names.add(name);
            }
            at += Short.toUnsignedInt(entries.get(ValueLayout.JAVA_SHORT, at + LENGTH));
        }
    }
}
