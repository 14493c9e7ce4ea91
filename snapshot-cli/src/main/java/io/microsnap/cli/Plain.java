package io.microsnap.cli;

/** Text from names, files and the system, as it may be printed: a line in which there is nothing a terminal obeys. */
final class Plain {
    private Plain() {
    }

    /** Puts a question mark in the place of each control character, tabs and line ends included. */
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
