package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class TableTest {
    @Test
    void numbersStandToTheRightAndTextToTheLeft() {
        assertThat(new Table("ID", ">RAM", "BASE").row("a", "1 MiB", "-").row("longer", "512 MiB", "a").lines(80))
                .containsExactly("ID          RAM  BASE", "a         1 MiB  -", "longer  512 MiB  a");
    }

    @Test
    void theLastColumnGivesWayWhereTheLineIsTooNarrow() {
        assertThat(new Table("ID", "REASON").row("a", "x".repeat(100)).lines(20))
                .containsExactly("ID  REASON", "a   " + "x".repeat(13) + "...");
    }

    @Test
    void aRowHasACellUnderEachHeading() {
        assertThatThrownBy(() -> new Table("ID", "BASE").row("a")).hasMessageContaining("1 cells under 2");
    }
}
