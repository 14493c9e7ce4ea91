package io.microsnap.store.internal;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.Stat;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Finds the process that has locked a file: on Linux, if this process may see it. */
final class LockHolder {
    private static final System.Logger LOG = System.getLogger(DirectoryStore.class.getName());
    private static final String UNKNOWN = "another process";
    private static final long MOST_BYTES = 1 << 20;
    private static final Pattern FLOCK =
            Pattern.compile("^\\d+: FLOCK +ADVISORY +WRITE (\\d+) ([0-9a-f]+):([0-9a-f]+):(\\d+) ", Pattern.MULTILINE);

    private LockHolder() {
    }

    /** Describes the process, for example {@code process 4711 (java)}. */
    static String of(Descriptor file) {
        try {
            Stat status = file.status();
            Matcher lock = FLOCK.matcher(read(file.posix(), "/proc/locks"));
            while (lock.find()) {
                // btrfs gives its files device numbers of their own, which this list does not contain.
                long major = Long.parseLong(lock.group(2), 16);
                long minor = Long.parseLong(lock.group(3), 16);
                boolean sameDevice = major(status.device()) == major
                        && (major == 0 || minor(status.device()) == minor);
                if (sameDevice && Long.parseLong(lock.group(4)) == status.inode()) {
                    return process(file.posix(), lock.group(1));
                }
            }
        } catch (IOException | NumberFormatException untold) {
            LOG.log(System.Logger.Level.DEBUG, "the holder of the lock on " + file + " is unknown", untold);
        }
        return UNKNOWN;
    }

    private static String process(Posix posix, String number) {
        try {
            return "process " + number + " (" + Printable.of(read(posix, "/proc/" + number + "/comm").strip()) + ")";
        } catch (IOException gone) {
            return "process " + number;
        }
    }

    private static String read(Posix posix, String path) throws IOException {
        try (Descriptor file = Descriptor.open(posix, Path.of(path), posix.constants().O_RDONLY, 0);
                Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(MOST_BYTES);
            long length = file.read(bytes, 0);
            return new String(bytes.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
        }
    }

    // Device numbers in the form that statx reports.
    private static long major(long device) {
        return device >>> Integer.SIZE;
    }

    private static long minor(long device) {
        return device & 0xffff_ffffL;
    }
}
