package io.microsnap.vmm.internal.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class QemuLayoutTest {
    private static final long MIB = 1 << 20;
    private static final long NONE = -1;

    @ParameterizedTest
    @CsvSource({
        "pc-i440fx-7.2, 256, 3584, 256",
        "pc-i440fx-7.2, 3583, 3584, 3583",
        "pc-i440fx-7.2, 3584, 3584, 3072",
        "pc-i440fx-7.2, 5120, 3584, 3072",
        "pc-i440fx-7.2, 5120, 2048, 2048",
        "pc-q35-7.2, 2815, 4096, 2815",
        "pc-q35-7.2, 2816, 4096, 2048",
        "pc-q35-7.2, 5120, 4096, 2048",
        "pc-q35-7.2, 5120, 1024, 1024",
        "microvm, 3072, -1, 3072",
        "microvm, 5120, -1, 3072",
    })
    void ramIsLowUpToALimitAndTheRestFrom4GiB(String machine, long mib, long limit, long lowMib)
            throws SnapshotException {
        GuestLayout layout = QemuLayout.of(machine, mib * MIB, limit < 0 ? NONE : limit * MIB, 4096);
        assertThat(layout.regions()).isEqualTo(lowMib == mib ? List.of(new Region(0, mib * MIB))
                : List.of(new Region(0, lowMib * MIB), new Region(4096 * MIB, (mib - lowMib) * MIB)));
    }

    @Test
    void whatCannotBeIsRefused() {
        assertThatThrownBy(() -> QemuLayout.of("virt-9.0", MIB, NONE, 4096)).hasMessageContaining("--region");
        assertThatThrownBy(() -> QemuLayout.of("pc-q35-9.0", MIB + 1, NONE, 4096)).hasMessageContaining("whole number");
        assertThatThrownBy(() -> QemuLayout.of("pc-q35-9.0", 5120 * MIB, 4097, 4096))
                .hasMessageContaining("whole number");
    }
}
