package io.microsnap.vmm.internal.firecracker;

import io.microsnap.core.SnapshotException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A release of Firecracker.
 *
 * @param minor the number after the leading 1
 * @param patch its last number
 */
public record Version(int minor, int patch) {
    /** The newest release whose layout and files this version knows. */
    public static final Version NEWEST_KNOWN = new Version(17, 0);

    private static final int OLDEST_KNOWN_MINOR = 5;
    private static final Pattern FORM = Pattern.compile("v?1\\.([0-9]{1,4})\\.([0-9]{1,4})(?:[-+].*)?");

    /** Reads {@code 1.13.1} or {@code 1.17.0-dev}; refuses other forms. */
    public static Version parse(String text) throws SnapshotException {
        Matcher form = FORM.matcher(text);
        if (!form.matches() || Integer.parseInt(form.group(1)) < OLDEST_KNOWN_MINOR) {
            throw new SnapshotException("Firecracker '" + text.replaceAll("[^ -~]", "?") + "' is not a known release"
                    + " (1.5 and later 1.x); create a snapshot with its own tools, and use microsnap import"
                    + " with --region");
        }
        return new Version(Integer.parseInt(form.group(1)), Integer.parseInt(form.group(2)));
    }

    /** Returns whether 32-bit devices take 1 GiB below 4 GiB rather than 768 MiB. */
    boolean hasWideGap() {
        return minor >= 13;
    }

    /** Returns whether its diffs are wrong for guests of more than one memory slot. */
    public boolean hasWrongDiffs() {
        return minor == 14 && patch <= 1;
    }

    /** Returns whether a state file ends with a checksum over all of it. */
    public boolean hasChecksum() {
        return minor >= 8;
    }

    @Override
    public String toString() {
        return "1." + minor + "." + patch;
    }
}
