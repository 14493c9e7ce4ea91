package io.microsnap.store.internal;

/** Text from a disk or a caller, fit for a message: short, and without characters that a terminal would obey. */
public final class Printable {
    private static final int LONGEST = 128;

    private Printable() {
    }

    /** At most 128 characters, with a question mark in the place of each that could do harm. */
    public static String of(String text) {
        return text.codePointCount(0, text.length()) > LONGEST
                ? whole(text.substring(0, text.offsetByCodePoints(0, LONGEST))) + "…" : whole(text);
    }

    /** As {@link #of}, however long: for a message of ours with such text in it. */
    public static String whole(String text) {
        StringBuilder shown = new StringBuilder();
        text.codePoints().forEach(c -> shown.appendCodePoint(isPlain(c) ? c : '?'));
        return shown.toString();
    }

    /** Whether every character may be shown and stored: no controls, no halves of a surrogate pair. */
    public static boolean isPlain(String text) {
        return text.codePoints().allMatch(Printable::isPlain);
    }

    private static boolean isPlain(int character) {
        return switch (Character.getType(character)) {
            case Character.CONTROL, Character.SURROGATE, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR,
                    Character.FORMAT -> false;
            default -> true;
        };
    }
}
