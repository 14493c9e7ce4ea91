package io.microsnap.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SnapshotIdTest {
    @ParameterizedTest
    @ValueSource(strings = {"a", "Base-1", "x_y.z", "0", "store.json.bak"})
    void wellFormedNamesAreTaken(String name) {
        assertThat(new SnapshotId(name).name()).isEqualTo(name);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ".", "..", ".lock", ".staging", "a/b", "../a", "a\0b", "ä", "a b", "store.json",
        "STORE.json", "a\n"})
    void anythingElseIsRefusedBeforeItCanBeAPath(String name) {
        assertThatThrownBy(() -> new SnapshotId(name)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void namesThatDifferInCaseAreOneName() {
        assertThat(new SnapshotId("Base")).isEqualTo(new SnapshotId("bASE")).hasSameHashCodeAs(new SnapshotId("base"));
    }

    @Test
    void aNameHasAtMost128Characters() {
        assertThat(new SnapshotId("n".repeat(128)).name()).hasSize(128);
        assertThatThrownBy(() -> new SnapshotId("n".repeat(129))).hasMessageContaining("128");
    }
}
