package io.microsnap.cli;

import java.util.ArrayList;
import java.util.List;

/** Rows under headings, in columns as wide as needed; if the line is too narrow, the last column wraps. */
final class Table {
    private static final String GAP = "  ";

    private final List<String> headings;
    private final boolean[] numbers;
    private final List<List<String>> rows = new ArrayList<>();

    /** Makes a table. A heading that starts with {@code >} is for numbers, which are aligned to the right. */
    Table(String... headings) {
        numbers = new boolean[headings.length];
        List<String> shown = new ArrayList<>();
        for (int column = 0; column < headings.length; column++) {
            numbers[column] = headings[column].startsWith(">");
            shown.add(numbers[column] ? headings[column].substring(1) : headings[column]);
        }
        this.headings = List.copyOf(shown);
    }

    Table row(String... cells) {
        if (cells.length != headings.size()) {
            throw new IllegalArgumentException(cells.length + " cells under " + headings.size() + " headings");
        }
        rows.add(List.of(cells));
        return this;
    }

    /** Returns the lines, none longer than the width unless the columns before the last are wider already. */
    List<String> lines(int width) {
        int[] widths = new int[headings.size()];
        List<List<String>> all = new ArrayList<>(List.of(headings));
        all.addAll(rows);
        for (List<String> row : all) {
            for (int column = 0; column < widths.length; column++) {
                widths[column] = Math.max(widths[column], row.get(column).length());
            }
        }
        int before = 0;
        for (int column = 0; column < widths.length - 1; column++) {
            before += widths[column] + GAP.length();
        }
        int last = Math.max(headings.getLast().length(), Math.min(widths[widths.length - 1], width - before));
        List<String> lines = new ArrayList<>();
        for (List<String> row : all) {
            StringBuilder line = new StringBuilder();
            for (int column = 0; column < widths.length; column++) {
                boolean isLast = column == widths.length - 1;
                String cell = isLast ? shorten(row.get(column), last) : row.get(column);
                String padding = " ".repeat(Math.max(0, (isLast ? last : widths[column]) - cell.length()));
                line.append(column == 0 ? "" : GAP).append(numbers[column] ? padding + cell : cell + padding);
            }
            lines.add(line.toString().stripTrailing());
        }
        return lines;
    }

    private static String shorten(String cell, int width) {
        return cell.length() <= width ? cell : cell.substring(0, Math.max(0, width - 3)) + "...";
    }
}
