package io.microsnap.core.internal.file;

import io.microsnap.core.IoMode;
import java.util.Objects;

/**
 * How a file is opened as storage.
 *
 * @param existing what is wanted of a file that is there, or not
 * @param writable whether it may be written
 * @param mode which way its bytes go
 * @param syncsToDeviceOnly on macOS, whether a sync may stop at the device's own cache; nothing elsewhere
 */
public record StorageOptions(Existing existing, boolean writable, IoMode mode, boolean syncsToDeviceOnly) {
    /** An existing file, to be read, through the page cache. */
    public static final StorageOptions READ = new StorageOptions(Existing.REQUIRED, false, IoMode.CACHED, false);

    /** An existing file, to be read and written, through the page cache. */
    public static final StorageOptions WRITE = new StorageOptions(Existing.REQUIRED, true, IoMode.CACHED, false);

    /** What to make of a name. */
    public enum Existing {
        /** There must be a file or a block device, which stays as it is. */
        REQUIRED,
        /** There must be none: a file is made. */
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
