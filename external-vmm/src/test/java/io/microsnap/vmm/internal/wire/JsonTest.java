package io.microsnap.vmm.internal.wire;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class JsonTest {
    @Test
    void valuesAreWhatTheDocumentSays() throws SnapshotException {
        Json json = parse("{'text': 'a\\nb', 'list': [1, {'deep': 9223372036854775807}], 'yes': true, 'no': false}");
        assertThat(json.get("text").text()).isEqualTo("a\nb");
        assertThat(json.get("list").list().get(1).get("deep").number()).isEqualTo(Long.MAX_VALUE);
        assertThat(json.isTrue("yes")).isTrue();
        assertThat(json.isTrue("no")).isFalse();
        assertThat(json.isTrue("absent")).isFalse();
        assertThat(parse("[]").list()).isEmpty();
    }

    @Test
    void nullIsAbsent() throws SnapshotException {
        assertThat(parse("{'key': null}").find("key")).isEmpty();
        assertThatThrownBy(() -> parse("{'key': null}").get("key")).hasMessageContaining("has no 'key'");
    }

    @ParameterizedTest
    @ValueSource(strings = {"9223372036854775808", "-1", "1.0", "1e3", "'1'", "true", "[]",
        "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899"})
    void onlyAWholeNumberOfSixtyThreeBitsIsANumber(String value) throws SnapshotException {
        Json json = parse("{'key': " + value + ", 'next': 1}");
        assertThat(json.get("next").number()).isEqualTo(1);
        assertThatThrownBy(() -> json.get("key").number()).isExactlyInstanceOf(SnapshotException.class)
                .hasMessageContaining("name/key");
    }

    /** It is another process's answer and no stored file that is wrong. */
    @ParameterizedTest
    @ValueSource(strings = {"", " ", "{", "{'a': 1", "[1", "{'a': 1, 'a': 2}", "{} {}", "{}x", "nonsense", "'\u0001'"})
    void whatIsNotOneDocumentIsRefusedWithItsPlace(String document) {
        assertThatThrownBy(() -> parse(document)).isExactlyInstanceOf(SnapshotException.class)
                .hasMessageStartingWith("name, line 1, column ").hasMessageContaining("is not JSON")
                .hasCauseInstanceOf(DamagedException.class);
    }

    @Test
    void whatIsLargerThanTheLimitsIsRefused() {
        assertThatThrownBy(() -> parse("[".repeat(65) + "]".repeat(65))).hasMessageContaining("is not JSON");
        assertThatThrownBy(() -> parse("{'" + "a".repeat(4097) + "': 1}")).hasMessageContaining("is not JSON");
        assertThatThrownBy(() -> parse("[" + "1,".repeat(4 << 20) + "1]")).hasMessageContaining("more than");
    }

    @Test
    void whatIsNotUtf8IsRefused() {
        assertThatThrownBy(() -> Json.parse("name", new byte[] {'"', (byte) 0xFF, '"'}))
                .isExactlyInstanceOf(SnapshotException.class).hasMessageContaining("UTF-8");
    }

    private static Json parse(String document) throws SnapshotException {
        return Json.parse("name", document.replace('\'', '"').getBytes(StandardCharsets.UTF_8));
    }
}
