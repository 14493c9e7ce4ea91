package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class DocumentTest {
    @Test
    void everyKindOfValueHasItsForm() {
        String json = new Document().put("text", "a\"b\n").put("number", 1L << 40).put("none", null)
                .put("absent", Optional.empty()).put("present", Optional.of(true)).put("unknown", OptionalLong.empty())
                .put("known", OptionalLong.of(7)).put("time_ms", Duration.ofNanos(1_234_567))
                .put("list", List.of(new Document().put("k", 1))).put("map", Map.of("l", "v")).json();
        assertThat(json.replaceAll("\\s+", "")).isEqualTo("{\"text\":\"a\\\"b\\n\",\"number\":1099511627776,"
                + "\"none\":null,\"absent\":null,\"present\":true,\"unknown\":null,\"known\":7,\"time_ms\":1.235,"
                + "\"list\":[{\"k\":1}],\"map\":{\"l\":\"v\"}}");
    }
}
