package io.microsnap.core.internal.file;

import io.microsnap.core.IoMode;
import java.util.Objects;

/**
 * How a file is opened as storage.
 *
 * @param existing what to do if the file exists, or does not
 * @param writable whether it may be written
 * @param mode how its bytes are transferred
 * @param syncsToDeviceOnly on macOS, whether a sync may stop at the device's own cache; no effect elsewhere
 */
public record StorageOptions(Existing existing, boolean writable, IoMode mode, boolean syncsToDeviceOnly) {
    /** An existing file, to be read, through the page cache. */
    public static final StorageOptions READ = new StorageOptions(Existing.REQUIRED, false, IoMode.CACHED, false);

    /** An existing file, to be read and written, through the page cache. */
    public static final StorageOptions WRITE = new StorageOptions(Existing.REQUIRED, true, IoMode.CACHED, false);

    /** What to do with a name. */
    public enum Existing {
        /** The file or block device must exist; opening leaves it as it is. */
        REQUIRED,
        /** Nothing may exist under the name: a file is made. */
        REFUSED,
        /** A file is made, or made empty; a block device stays as it is until it is written. */
        OVERWRITTEN
    }

    /** Refuses to make a file that cannot be written. */
    public StorageOptions {
        Objects.requireNonNull(mode);
        if (existing != Existing.REQUIRED && !writable) {
            throw new IllegalArgumentException("a file that is made is written");
        }
    }

    public StorageOptions with(IoMode other) {
        return new StorageOptions(existing, writable, other, syncsToDeviceOnly);
    }

    public StorageOptions with(Existing other) {
        return new StorageOptions(other, writable, mode, syncsToDeviceOnly);
    }

    /** Lets a sync stop at the device's own cache on macOS. */
    public StorageOptions syncingToDeviceOnly() {
        return new StorageOptions(existing, writable, mode, true);
    }
}
