package io.microsnap.store;

import java.util.Objects;
import java.util.OptionalInt;

/**
 * How a store is opened: the owner and modes of its files, and how long to wait for its lock.
 *
 * @param group the group that owns them; if empty, the group of this process
 * @param fileMode permissions of files; publication removes the write bits
 * @param directoryMode permissions of directories
 * @param lockWait how long a writer waits for another one
 */
public record StoreOptions(OptionalInt group, int fileMode, int directoryMode, LockWait lockWait) {
    /** For the user of this process alone. */
    public static final StoreOptions PRIVATE = new StoreOptions(OptionalInt.empty(), 0600, 0700, LockWait.DEFAULT);

    private static final int GROUP_READS = 0040;
    private static final int GROUP_ENTERS = 0050;
    private static final int ALL = 0777;

    /** Refuses modes with which its owner could not use the store. */
    public StoreOptions {
        Objects.requireNonNull(lockWait);
        if ((fileMode & ~ALL) != 0 || (fileMode & 0600) != 0600) {
            throw new IllegalArgumentException("file mode " + Integer.toOctalString(fileMode)
                    + ": give at least 600, and only permission bits");
        }
        if ((directoryMode & ~ALL) != 0 || (directoryMode & 0700) != 0700) {
            throw new IllegalArgumentException("directory mode " + Integer.toOctalString(directoryMode)
                    + ": give at least 700, and only permission bits");
        }
    }

    /** Returns options for a store that a group can read, too: for VMMs that run as other users. */
    public static StoreOptions readableBy(int group) {
        return new StoreOptions(OptionalInt.of(group), PRIVATE.fileMode | GROUP_READS,
                PRIVATE.directoryMode | GROUP_ENTERS, LockWait.DEFAULT);
    }

    /** Returns these options with another wait. */
    public StoreOptions waiting(LockWait wait) {
        return new StoreOptions(group, fileMode, directoryMode, wait);
    }
}
