package io.microsnap.cli;

import java.util.ArrayList;
import java.util.List;

/** Text after a lead, wrapped between words; further lines are indented by the lead's length. */
final class Paragraph {
    private Paragraph() {
    }

    /** Returns the lines, none longer than the width unless a single word is. */
    static List<String> lines(String lead, String text, int width) {
        List<String> lines = new ArrayList<>();
        StringBuilder line = new StringBuilder(lead);
        int indentation = lead.length();
        for (String word : text.split(" ", -1)) {
            boolean first = line.length() == indentation;
            if (!first && line.length() + 1 + word.length() > width) {
                lines.add(line.toString());
                line = new StringBuilder(" ".repeat(indentation));
                first = true;
            }
            line.append(first ? "" : " ").append(word);
        }
        lines.add(line.toString());
        return lines;
    }
}
