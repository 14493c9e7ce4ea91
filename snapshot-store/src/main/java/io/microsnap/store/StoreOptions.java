package io.microsnap.store;

import java.util.Objects;
import java.util.OptionalInt;

/**
 * How a store is opened: whom its files belong to, and how long its lock is waited for.
 *
 * @param group the group they are given to; none leaves them to the group of this process
 * @param fileMode permissions of files; publication takes the write bits
 * @param directoryMode permissions of directories
 * @param lockWait how long a writer waits for another one
 */
public record StoreOptions(OptionalInt group, int fileMode, int directoryMode, LockWait lockWait) {
    /** For the user of this process and nobody else. */
    public static final StoreOptions PRIVATE = new StoreOptions(OptionalInt.empty(), 0600, 0700, LockWait.DEFAULT);

    private static final int GROUP_READS = 0040;
    private static final int GROUP_ENTERS = 0050;
    private static final int ALL = 0777;

    /** Refuses modes with which the store could not be used by its owner. */
    public StoreOptions {
        Objects.requireNonNull(lockWait);
        if ((fileMode & ~ALL) != 0 || (fileMode & 0600) != 0600) {
            throw new IllegalArgumentException("file mode " + Integer.toOctalString(fileMode)
                    + ": it has at least 600 and nothing but permissions");
        }
        if ((directoryMode & ~ALL) != 0 || (directoryMode & 0700) != 0700) {
            throw new IllegalArgumentException("directory mode " + Integer.toOctalString(directoryMode)
                    + ": it has at least 700 and nothing but permissions");
        }
    }

    /** Readable by a group too: for VMMs that run under users of their own. */
    public static StoreOptions readableBy(int group) {
        return new StoreOptions(OptionalInt.of(group), PRIVATE.fileMode | GROUP_READS,
                PRIVATE.directoryMode | GROUP_ENTERS, LockWait.DEFAULT);
    }

    /** The same, with another limit to waiting, and somebody who hears of it. */
    public StoreOptions waiting(LockWait wait) {
        return new StoreOptions(group, fileMode, directoryMode, wait);
    }
}
