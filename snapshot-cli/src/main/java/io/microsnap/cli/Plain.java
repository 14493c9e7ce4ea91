package io.microsnap.cli;

/** Makes text from names, files and the system safe to print: one line without control characters. */
final class Plain {
    private Plain() {
    }

    /** Replaces each control character, tabs and line ends included, by a question mark. */
    static String text(String text) {
        if (text.codePoints().allMatch(Plain::isPlain)) {
            return text;
        }
        StringBuilder shown = new StringBuilder();
        text.codePoints().forEach(character -> shown.appendCodePoint(isPlain(character) ? character : '?'));
        return shown.toString();
    }

    private static boolean isPlain(int character) {
        return switch (Character.getType(character)) {
            case Character.CONTROL, Character.SURROGATE, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR,
                    Character.FORMAT -> false;
            default -> true;
        };
    }
}
