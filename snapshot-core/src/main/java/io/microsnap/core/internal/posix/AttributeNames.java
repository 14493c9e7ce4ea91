package io.microsnap.core.internal.posix;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** The buffer of {@link Posix#flistxattr}: names, each followed by a NUL. */
public final class AttributeNames {
    private AttributeNames() {
    }

    /** Returns the names as {@link Posix#fgetxattr} takes them, whatever bytes they contain. */
    public static List<String> in(MemorySegment list) {
        List<String> names = new ArrayList<>();
        long start = 0;
        for (long at = 0; at < list.byteSize(); at++) {
            if (list.get(ValueLayout.JAVA_BYTE, at) == 0) {
                names.add(NativeText.text(list, start, at - start));
                start = at + 1;
            }
        }
        return names;
    }
}
