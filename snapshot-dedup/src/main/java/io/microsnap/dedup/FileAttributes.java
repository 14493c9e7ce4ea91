package io.microsnap.dedup;

import io.microsnap.core.internal.posix.AttributeNames;
import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumSet;
import java.util.Set;

/** Copies a file's attributes: owner, permissions, extended attributes, times. */
final class FileAttributes {
    /** The largest value and list of names that Linux allows. */
    private static final long LARGEST = 64 << 10;
    private static final Set<Errno> NONE_HERE = EnumSet.of(Errno.EOPNOTSUPP, Errno.ENOTSUP, Errno.ENOSYS);

    private FileAttributes() {
    }

    /** Gives a file all attributes of another one; the times are those of the status. */
    static void copy(Descriptor from, Stat status, Descriptor to) throws IOException {
        Posix posix = to.posix();
        Stat fresh = to.status();
        if (fresh.owner() != status.owner() || fresh.group() != status.group()) {
            to.check("fchown", posix.fchown(to.number(), status.owner(), status.group()),
                    "to " + status.owner() + ":" + status.group());
        }
        // Set before the permissions: without root they can be set only on a writable file.
        copyExtended(from, to);
        to.permissions(status.permissions());
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment times = arena.allocate(ValueLayout.JAVA_LONG, 4);
            times.setAtIndex(ValueLayout.JAVA_LONG, 0, status.accessedSeconds());
            times.setAtIndex(ValueLayout.JAVA_LONG, 1, status.accessedNanos());
            times.setAtIndex(ValueLayout.JAVA_LONG, 2, status.modifiedSeconds());
            times.setAtIndex(ValueLayout.JAVA_LONG, 3, status.modifiedNanos());
            to.check("futimens", posix.futimens(to.number(), times), "");
        }
    }

    private static void copyExtended(Descriptor from, Descriptor to) throws IOException {
        Posix posix = from.posix();
        Constants constants = posix.constants();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(LARGEST);
            long length = posix.flistxattr(from.number(), buffer);
            if (length < 0 && NONE_HERE.contains(constants.errno(length))) {
                return;
            }
            from.check("flistxattr", length, "");
            for (String name : AttributeNames.in(buffer.asSlice(0, length))) {
                long valueLength = from.check("fgetxattr", posix.fgetxattr(from.number(), name, buffer), name);
                to.check("fsetxattr", posix.fsetxattr(to.number(), name, buffer.asSlice(0, valueLength)), name);
            }
        }
    }
}
