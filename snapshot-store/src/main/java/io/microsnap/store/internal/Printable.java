package io.microsnap.store.internal;

/** Makes text from a disk or a caller safe for a message: short, and without characters that control a terminal. */
public final class Printable {
    private static final int LONGEST = 128;

    private Printable() {
    }

    /** Returns at most 128 characters, with a question mark in place of each harmful one. */
    public static String of(String text) {
        return text.codePointCount(0, text.length()) > LONGEST
                ? whole(text.substring(0, text.offsetByCodePoints(0, LONGEST))) + "…" : whole(text);
    }

    /** As {@link #of}, without a limit: for a message of this library that contains such text. */
    public static String whole(String text) {
        StringBuilder shown = new StringBuilder();
        text.codePoints().forEach(c -> shown.appendCodePoint(isPlain(c) ? c : '?'));
        return shown.toString();
    }

    /** Returns whether every character may be shown and stored: no controls, no halves of a surrogate pair. */
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
