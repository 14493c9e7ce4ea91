package io.microsnap.store;

import io.microsnap.core.BusyException;
import java.io.IOException;
import java.time.Duration;
import java.util.Objects;
import java.util.OptionalInt;

/**
 * How a store is opened: whom its files belong to, and how long a writer waits for another one. Publishing, deleting
 * and recovery exclude each other in a store and take milliseconds each; only a process that was stopped, or hangs in a
 * system call, keeps the others waiting.
 *
 * @param group the group that owns them; if empty, the group of this process
 * @param fileMode permissions of files; publication removes the write bits
 * @param directoryMode permissions of directories
 * @param longestWait when a writer gives up with a {@link BusyException}; zero does not wait at all
 * @param waitListener hears that a writer waits, and for whom
 */
public record StoreOptions(
        OptionalInt group, int fileMode, int directoryMode, Duration longestWait, WaitListener waitListener) {
    /** For the user of this process alone. A writer waits for half a minute, without a listener. */
    public static final StoreOptions PRIVATE = new StoreOptions(
            OptionalInt.empty(), 0600, 0700, Duration.ofSeconds(30), (holder, waited) -> { });

    private static final int GROUP_READS = 0040;
    private static final int GROUP_ENTERS = 0050;
    private static final int ALL = 0777;

    /** Receives the fact that a writer waits. */
    @FunctionalInterface
    public interface WaitListener {
        /**
         * Called about fifty times a second, by the waiting thread. An exception ends the waiting and is passed on;
         * nothing was changed then.
         *
         * @param holder the process that has the lock, such as {@code process 4711 (java)}, as far as that is known
         * @param waited since when
         */
        void waiting(String holder, Duration waited) throws IOException;
    }

    /** Refuses modes with which its owner could not use the store. */
    public StoreOptions {
        Objects.requireNonNull(waitListener);
        if (longestWait.isNegative()) {
            throw new IllegalArgumentException("cannot wait for " + longestWait);
        }
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
                PRIVATE.directoryMode | GROUP_ENTERS, PRIVATE.longestWait, PRIVATE.waitListener);
    }

    /** Returns the same, with another limit to waiting. */
    public StoreOptions waiting(Duration longest) {
        return waiting(longest, waitListener);
    }

    /** Returns the same, with another limit to waiting, and a listener that hears of it. */
    public StoreOptions waiting(Duration longest, WaitListener listener) {
        return new StoreOptions(group, fileMode, directoryMode, longest, listener);
    }
}
