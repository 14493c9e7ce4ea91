package io.microsnap.core.internal.file;

import io.microsnap.core.IfExists;
import io.microsnap.core.Progress;
import java.util.OptionalInt;

/**
 * How a file is to be copied.
 *
 * @param strategy by which means
 * @param ifExists what to do with a destination that is there already
 * @param durability what is promised once the copy returns
 * @param mode the copy's permission bits; the source's if none are given
 * @param progress hears of every step, and may cancel
 */
public record CopyOptions(
        CopyStrategy strategy, IfExists ifExists, Durability durability, OptionalInt mode, Progress progress) {
    /** Any means, an existing file refused, fully durable, the source's mode. */
    public static final CopyOptions DEFAULTS = new CopyOptions(
            CopyStrategy.AUTO, IfExists.REFUSE, Durability.FULL, OptionalInt.empty(), Progress.NONE);

    private static final int ALL_PERMISSIONS = 0777;

    /** Refuses a mode that says more than permissions. */
    public CopyOptions {
        if (mode.isPresent() && (mode.getAsInt() & ~ALL_PERMISSIONS) != 0) {
            throw new IllegalArgumentException("not a file's permissions: " + Integer.toOctalString(mode.getAsInt()));
        }
    }

    public CopyOptions with(CopyStrategy other) {
        return new CopyOptions(other, ifExists, durability, mode, progress);
    }

    public CopyOptions with(IfExists other) {
        return new CopyOptions(strategy, other, durability, mode, progress);
    }

    public CopyOptions with(Durability other) {
        return new CopyOptions(strategy, ifExists, other, mode, progress);
    }

    public CopyOptions with(Progress other) {
        return new CopyOptions(strategy, ifExists, durability, mode, other);
    }

    public CopyOptions withMode(int permissions) {
        return new CopyOptions(strategy, ifExists, durability, OptionalInt.of(permissions), progress);
    }

    int modeFor(int sourcePermissions) {
        return mode.orElse(sourcePermissions & ALL_PERMISSIONS);
    }
}
