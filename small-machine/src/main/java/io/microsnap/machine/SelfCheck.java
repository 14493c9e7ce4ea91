package io.microsnap.machine;

/**
 * What a guest program found when it went over its own memory.
 *
 * @param counted the sum of the words that are there
 * @param expected the sum of the words that it wrote
 */
public record SelfCheck(int counted, int expected) {
    /** Whether its memory is as it left it. */
    public boolean holds() {
        return counted == expected;
    }
}
