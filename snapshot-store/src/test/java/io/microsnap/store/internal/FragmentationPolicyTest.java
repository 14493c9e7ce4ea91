package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.store.FragmentationPolicy;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class FragmentationPolicyTest {
    private static final long GIB = 1L << 30;

    @Test
    void limitsGrowWithTheImageAndASmallImageMayHaveSomeExtentsToo() {
        FragmentationPolicy policy = FragmentationPolicy.DEFAULT;
        assertThat(policy.mostExtentsToClone(GIB)).isEqualTo(4096);
        assertThat(policy.mostExtentsToShare(GIB)).isEqualTo(2048);
        assertThat(policy.mostExtentsToClone(64 * GIB)).isEqualTo(64 * 4096);
        assertThat(policy.mostExtentsToShare(4096)).isEqualTo(64);
        assertThat(policy.withExtentsPerGiBToShare(Long.MAX_VALUE).mostExtentsToShare(64 * GIB))
                .isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void aTwentiethIsWorthSharingAndNothingNeverIs() {
        FragmentationPolicy policy = FragmentationPolicy.DEFAULT;
        assertThat(policy.isWorthSharing(5, 100)).isTrue();
        assertThat(policy.isWorthSharing(4, 100)).isFalse();
        assertThat(policy.withLeastPercentToShare(0).isWorthSharing(1, Long.MAX_VALUE)).isTrue();
        assertThat(policy.withLeastPercentToShare(0).isWorthSharing(0, 0)).isFalse();
    }

    @ParameterizedTest
    @CsvSource({"-1,8,2048,5,extents a GiB to clone", "4096,-1,2048,5,-1 diffs", "4096,513,2048,5,513 diffs",
        "4096,8,-1,5,extents a GiB to share", "4096,8,2048,-1,-1 %", "4096,8,2048,101,101 %"})
    void aPolicyOutOfRangeIsRefusedAndTheMessageSaysWhatIsAllowed(
            long clone, int diffs, long share, int percent, String named) {
        assertThatThrownBy(() -> new FragmentationPolicy(clone, diffs, share, percent))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining(named).hasMessageContaining("give ");
    }
}
