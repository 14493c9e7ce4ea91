package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Queries and changes block devices by {@code ioctl}. */
final class BlockDevices {
    private BlockDevices() {
    }

    static long sizeBytes(Descriptor device) throws IOException {
        Constants constants = device.posix().constants();
        if (constants.operatingSystem() == OperatingSystem.MACOS) {
            return Math.multiplyExact(ask(device, "ioctl(DKIOCGETBLOCKCOUNT)", constants.DKIOCGETBLOCKCOUNT),
                    (long) sectorBytes(device));
        }
        return ask(device, "ioctl(BLKGETSIZE64)", constants.BLKGETSIZE64);
    }

    /** Returns the smallest unit that it reads or writes. */
    static int sectorBytes(Descriptor device) throws IOException {
        Constants constants = device.posix().constants();
        boolean macos = constants.operatingSystem() == OperatingSystem.MACOS;
        // Both write an int, into zeros.
        return (int) (macos ? ask(device, "ioctl(DKIOCGETBLOCKSIZE)", constants.DKIOCGETBLOCKSIZE)
                : ask(device, "ioctl(BLKSSZGET)", constants.BLKSSZGET));
    }

    /** Zeroes or discards a range of whole sectors and returns the raw result. */
    static long change(Descriptor device, long request, long offset, long lengthBytes) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment range = arena.allocateFrom(ValueLayout.JAVA_LONG, offset, lengthBytes);
            return device.uninterrupted(() -> device.posix().ioctl(device.number(), request, range));
        }
    }

    private static long ask(Descriptor device, String name, long request) throws IOException {
        Posix posix = device.posix();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment answer = arena.allocate(ValueLayout.JAVA_LONG);
            device.check(name, device.uninterrupted(() -> posix.ioctl(device.number(), request, answer)), "");
            return answer.get(ValueLayout.JAVA_LONG, 0);
        }
    }
}
