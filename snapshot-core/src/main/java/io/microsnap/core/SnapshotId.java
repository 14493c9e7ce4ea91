package io.microsnap.core;

import java.util.Locale;
import java.util.Set;

/**
 * A snapshot's name: 1 to 128 ASCII letters, digits, {@code .}, {@code _}, {@code -}, not starting with {@code .}.
 * Two names that differ in case alone are the same name. Only names of this form ever become part of a path.
 */
public record SnapshotId(String name) {
    private static final int LONGEST = 128;
    private static final Set<String> RESERVED = Set.of("store.json");

    /** Throws {@link IllegalArgumentException} for any other form, and for names that the store reserves. */
    public SnapshotId {
        boolean wellFormed = !name.isEmpty() && name.length() <= LONGEST && name.charAt(0) != '.'
                && name.chars().allMatch(SnapshotId::allowed);
        if (!wellFormed) {
            throw new IllegalArgumentException("'" + printable(name) + "' cannot name a snapshot: a name has 1 to "
                    + LONGEST + " letters, digits, '.', '_', '-' and does not start with '.'");
        }
        if (RESERVED.contains(name.toLowerCase(Locale.ROOT))) {
            throw new IllegalArgumentException("'" + name + "' is reserved by the store");
        }
    }

    private static boolean allowed(int character) {
        return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z')
                || (character >= '0' && character <= '9') || character == '.' || character == '_' || character == '-';
    }

    private static String printable(String text) {
        StringBuilder shown = new StringBuilder();
        text.chars().limit(LONGEST).forEach(c -> shown.append(c >= ' ' && c <= '~' ? (char) c : '?'));
        return shown.toString();
    }

    /** Returns the key for equality and order: equal for names that differ in case alone. */
    public String key() {
        return name.toLowerCase(Locale.ROOT);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof SnapshotId id && key().equals(id.key());
    }

    @Override
    public int hashCode() {
        return key().hashCode();
    }

    @Override
    public String toString() {
        return name;
    }
}
