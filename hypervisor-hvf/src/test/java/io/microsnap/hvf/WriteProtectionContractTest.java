package io.microsnap.hvf;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.dirty.testing.DirtySourceContract;
import io.microsnap.dirty.testing.TrackedGuest;
import java.io.IOException;
import org.junit.jupiter.api.AfterEach;

/** What the guest's own stores set, through the second stage's permissions. */
@HvfTest
class WriteProtectionContractTest extends DirtySourceContract {
    private TestHost host;

    @Override
    protected TrackedGuest openGuest() throws IOException {
        host = TestHost.open();
        return new StoringGuest(host.hvf());
    }

    @AfterEach
    void nothingForbiddenWasDone() {
        host.library().ifPresent(standIn -> assertThat(standIn.violation()).isEmpty());
    }
}
