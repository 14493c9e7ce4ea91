package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ParagraphTest {
    @Test
    void textIsBrokenBetweenWordsAndIndented() {
        assertThat(Paragraph.lines("ok  ", "one two three", 11)).containsExactly("ok  one two", "    three");
    }

    @Test
    void aWordThatIsTooLongStaysWhole() {
        assertThat(Paragraph.lines("ok ", "a overlong b", 8)).containsExactly("ok a", "   overlong", "   b");
    }

    @Test
    void whatFitsIsOneLine() {
        assertThat(Paragraph.lines("ok ", "a b", 6)).containsExactly("ok a b");
    }
}
