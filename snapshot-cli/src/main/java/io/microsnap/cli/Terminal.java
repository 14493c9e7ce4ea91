package io.microsnap.cli;

import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.Posix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Finds out whether output goes to a terminal, and how wide it is. */
final class Terminal {
    static final int STANDARD_OUTPUT = 1;
    static final int STANDARD_ERROR = 2;
    static final int DEFAULT_COLUMNS = 80;

    private static final long TIOCGWINSZ_LINUX = 0x5413;
    private static final long TIOCGWINSZ_MACOS = 0x40087468;
    private static final long COLUMNS = 2;

    private Terminal() {
    }

    /** Returns whether the descriptor is a terminal. */
    static boolean is(Posix posix, int descriptor) {
        try (Arena arena = Arena.ofConfined()) {
            return window(posix, descriptor, arena.allocate(ValueLayout.JAVA_LONG));
        }
    }

    /** Returns the width of a terminal, or the width that fits everywhere. */
    static int columns(Posix posix, int descriptor) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment size = arena.allocate(ValueLayout.JAVA_LONG);
            int columns = window(posix, descriptor, size)
                    ? Short.toUnsignedInt(size.get(ValueLayout.JAVA_SHORT, COLUMNS)) : 0;
            return columns > 0 ? columns : DEFAULT_COLUMNS;
        }
    }

    private static boolean window(Posix posix, int descriptor, MemorySegment size) {
        long request = posix.constants().operatingSystem() == OperatingSystem.LINUX
                ? TIOCGWINSZ_LINUX : TIOCGWINSZ_MACOS;
        return posix.ioctl(descriptor, request, size) >= 0;
    }
}
