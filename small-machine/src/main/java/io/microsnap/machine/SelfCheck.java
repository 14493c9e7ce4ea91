package io.microsnap.machine;

/**
 * The result of a guest program's check of its own memory.
 *
 * @param counted the sum of the words in memory
 * @param expected the sum of the words that it wrote
 */
public record SelfCheck(int counted, int expected) {
    /** Returns whether its memory is intact. */
    public boolean holds() {
        return counted == expected;
    }
}
