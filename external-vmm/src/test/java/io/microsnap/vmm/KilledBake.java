package io.microsnap.vmm;

import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.Capture;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/** Bakes a guest up to a point at which the guest is paused, says so, and waits there to be ended, or fails. */
final class KilledBake {
    static final List<String> POINTS = List.of("stopped", "state saved", "memory written");
    /** The point at which the JVM runs out of memory. */
    static final String OUT_OF_MEMORY = "out of memory";

    private KilledBake() {
    }

    public static void main(String[] arguments) throws IOException {
        String point = arguments[2];
        try (ExternalVmm vmm = QemuVmm.open(VmmOptions.of(Path.of(arguments[0])));
                DirectoryStore store = DirectoryStore.openOrCreate(Posix.host(), Path.of(arguments[1]),
                        StoreOptions.PRIVATE)) {
            Capture.of(store, new SnapshotId("killed"), vmm.reader()).take(new PausableMachine() {
                @Override
                public void pause() throws IOException {
                    vmm.pause();
                    waitAt("stopped");
                }

                @Override
                public List<MachineStateSection> saveState() throws IOException {
                    List<MachineStateSection> state = vmm.saveState();
                    waitAt("state saved");
                    if (point.equals(OUT_OF_MEMORY)) {
                        System.out.println("paused " + new byte[Integer.MAX_VALUE].length);
                    }
                    return state;
                }

                @Override
                public void resume() throws IOException {
                    waitAt("memory written");
                    vmm.resume();
                }

                private void waitAt(String here) {
                    if (here.equals(point)) {
                        System.out.println("paused");
                        try {
                            new CountDownLatch(1).await();
                        } catch (InterruptedException impossible) {
                            throw new IllegalStateException(impossible);
                        }
                    }
                }
            });
        }
    }
}
