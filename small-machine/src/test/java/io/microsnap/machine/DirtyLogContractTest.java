package io.microsnap.machine;

import io.microsnap.dirty.testing.DirtySourceContract;
import io.microsnap.dirty.testing.TrackedGuest;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.KvmTest;
import java.io.IOException;

@KvmTest
class DirtyLogContractTest extends DirtySourceContract {
    @Override
    protected TrackedGuest openGuest() throws IOException {
        return new KvmTrackedGuest(DirtyTracking.LOG);
    }
}
