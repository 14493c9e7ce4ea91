package io.microsnap.core.internal.posix;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** The buffer of {@code getdents64}. */
final class DirectoryEntries {
    private static final long LENGTH = 16;
    private static final long NAME = 19;

    private DirectoryEntries() {
    }

    static void read(MemorySegment entries, List<String> names) {
        long at = 0;
        while (at < entries.byteSize()) {
            int length = Short.toUnsignedInt(entries.get(ValueLayout.JAVA_SHORT, at + LENGTH));
            MemorySegment entry = entries.asSlice(at, Math.max(length, NAME + 1));
            long end = NAME;
            while (entry.get(ValueLayout.JAVA_BYTE, end) != 0) {
                end++;
            }
            add(NativeText.text(entry, NAME, end - NAME), names);
            at += entry.byteSize();
        }
    }

    /** Adds a name, unless it is {@code .} or {@code ..}. */
    static void add(String name, List<String> names) {
        if (!name.equals(".") && !name.equals("..")) {
            names.add(name);
        }
    }
}
