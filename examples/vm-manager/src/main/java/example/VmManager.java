package example;

import io.microsnap.core.SnapshotId;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.dedup.Deduplicator;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.KvmGuest;
import io.microsnap.kvm.MachineSpec;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.SnapshotEntry;
import io.microsnap.store.SnapshotStore;
import io.microsnap.store.StoreOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;

/**
 * A small VM manager. {@code bake STORE} boots a VM and captures it as it runs; {@code copies STORE}, in another
 * process, makes eight copies of it that go on from there, deduplicates, and deletes what is not needed;
 * {@code short STORE} is the excerpt in microsnap's README.
 */
public final class VmManager {
    private static final SnapshotId READY = new SnapshotId("web-ready");
    private static final SnapshotId WARM = new SnapshotId("web-warm");
    private static final SnapshotId SIBLING = new SnapshotId("web-sibling");
    private static final String OS_IMAGE = "debian-13";
    private static final int COPIES = 8;
    private static final int SOME_WRITES = 1000;

    private VmManager() {
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 2) {
            System.err.println("usage: vm-manager bake|copies|short STORE");
            System.exit(64);
        }
        Path path = Path.of(arguments[1]);
        switch (arguments[0]) {
            case "short" -> inShort(path);
            case "bake" -> {
                try (Kvm kvm = Kvm.open(); SnapshotStore store = open(path)) {
                    bake(kvm, store);
                }
            }
            case "copies" -> {
                try (Kvm kvm = Kvm.open(); SnapshotStore store = open(path)) {
                    fanOut(kvm, store);
                    deduplicate(store);
                    delete(store);
                }
            }
            default -> throw new IllegalArgumentException("unknown command " + arguments[0]);
        }
    }

    private static SnapshotStore open(Path path) throws IOException {
        return SnapshotStore.openOrCreate(path, StoreOptions.PRIVATE);
    }

    // README: begin
    static void inShort(Path path) throws Exception {
        SnapshotId ready = new SnapshotId("ready");
        try (Kvm kvm = Kvm.open(); SnapshotStore store = SnapshotStore.openOrCreate(path, StoreOptions.PRIVATE)) {
            // Bake: the first capture is full, each later one only what changed since.
            try (KvmGuest vm = KvmGuest.create(kvm, MachineSpec.ofVcpus(1), Firmware.LAYOUT, RunLoop::new)) {
                boot(vm);
                CaptureResult baked = Capture.of(store, ready, vm.reader()).tracker(vm.tracker())
                        .imageName("debian-13").label("team", "web")
                        .take(vm);          // pauses the machine, copies, resumes it, makes the snapshot durable
                System.out.println(baked.reference() + " cost a pause of " + baked.times().pause());
            }
            // Restore: a millisecond, whatever its size; pages come in as the guest touches them.
            try (RestoredSnapshot restored = Restore.of(store, ready).renewing(VmManager::newIdentity)
                            .restore(RestoreEngine.LAZY);
                    KvmGuest copy = KvmGuest.restored(kvm, restored, RunLoop::new)) {
                copy.resume();
                Capture.of(store, new SnapshotId("later"), copy.reader()).tracker(copy.tracker()).take(copy);
            }
        }
    }
    // README: end

    /** Lets a new guest run for a while. */
    private static void boot(KvmGuest vm) throws Exception {
        Firmware.load(vm.memory(), OS_IMAGE);
        vm.resume();
        awaitWrites(vm, SOME_WRITES);
    }

    private static void awaitWrites(KvmGuest vm, int more) throws Exception {
        int enough = Firmware.writes(vm.memory()) + more;
        while (Firmware.writes(vm.memory()) < enough) {
            vm.resume();        // Throws if the vCPU has failed, and changes nothing otherwise.
            Thread.sleep(1);
        }
    }

    /** Two machines without each other are the same until something tells them apart. */
    private static void newIdentity(RestoredSnapshot restored) {
        long at = Firmware.renew(restored.memory(), ThreadLocalRandom.current().nextLong());
        restored.markWritten(at, Long.BYTES);
    }

    private static void bake(Kvm kvm, SnapshotStore store) throws Exception {
        try (KvmGuest vm = newVm(kvm)) {
            boot(vm);
            say(capture(vm, store, READY, CaptureKind.AUTOMATIC));
            awaitWrites(vm, SOME_WRITES);
            say(capture(vm, store, WARM, CaptureKind.AUTOMATIC));
            awaitWrites(vm, SOME_WRITES);
        }
        // Another VM of the same operating system, to be deduplicated later.
        try (KvmGuest vm = newVm(kvm)) {
            boot(vm);
            say(capture(vm, store, SIBLING, CaptureKind.FULL));
        }
    }

    private static KvmGuest newVm(Kvm kvm) throws IOException {
        return KvmGuest.create(kvm, MachineSpec.ofVcpus(1), Firmware.LAYOUT, RunLoop::new);
    }

    private static CaptureResult capture(KvmGuest vm, SnapshotStore store, SnapshotId id, CaptureKind kind)
            throws IOException {
        // Deduplicated when the VM manager has time for it, and not in the thread that captures.
        return Capture.of(store, id, vm.reader()).tracker(vm.tracker()).kind(kind).imageName(OS_IMAGE)
                .withoutSharing().take(vm);
    }

    private static void say(CaptureResult result) {
        System.out.println(result.manifest().id() + ": " + result.kind() + ", " + result.memory().pagesRecorded()
                + " pages, paused for " + result.times().pause().toMillis() + " ms");
    }

    /** A copy of a snapshot, and what its memory comes from. */
    private record Copy(RestoredSnapshot restored, KvmGuest vm) implements AutoCloseable {
        static Copy of(Kvm kvm, SnapshotStore store, SnapshotId id) throws IOException {
            RestoredSnapshot restored = Restore.of(store, id).renewing(VmManager::newIdentity)
                    .restore(RestoreEngine.LAZY);
            try {
                return new Copy(restored, KvmGuest.restored(kvm, restored, RunLoop::new));
            } catch (IOException | RuntimeException failure) {
                try (restored) {
                    throw failure;
                }
            }
        }

        @Override
        public void close() throws IOException {
            try (restored) {
                vm.close();
            }
        }
    }

    /** All copies run at once; each is captured as it runs, found to be whole, and closed. */
    private static void fanOut(Kvm kvm, SnapshotStore store) throws Exception {
        Deque<Copy> copies = new ArrayDeque<>();
        try {
            for (int number = 1; number <= COPIES; number++) {
                Copy copy = Copy.of(kvm, store, WARM);
                copies.push(copy);
                System.out.println(copyId(number) + " goes on from " + Firmware.writes(copy.vm().memory()));
                copy.vm().resume();
            }
            int number = COPIES;
            for (Copy copy : copies) {
                awaitWrites(copy.vm(), SOME_WRITES);
                say(capture(copy.vm(), store, copyId(number--), CaptureKind.AUTOMATIC));
            }
            for (Copy copy : copies) {
                copy.vm().pause();
                if (!Firmware.isWhole(copy.vm().memory())) {
                    throw new IllegalStateException("a copy's memory is not as its guest left it");
                }
            }
            System.out.println(copies.size() + " copies are whole");
        } finally {
            while (!copies.isEmpty()) {
                copies.pop().close();
            }
        }
    }

    private static SnapshotId copyId(int number) {
        return new SnapshotId("copy-" + number);
    }

    private static void deduplicate(SnapshotStore store) throws IOException {
        DedupOutcome outcome = new Deduplicator(store).deduplicate(SIBLING, READY, DedupOptions.DEFAULTS);
        System.out.println(SIBLING + switch (outcome) {
            case DedupOutcome.Deduplicated done -> " shares " + done.report().sharedBytes() + " bytes";
            case DedupOutcome.LeftAlone alone -> " is left alone: " + alone.explanation();
            case DedupOutcome.Failed failed -> " could not be deduplicated: " + failed.cause().getMessage();
        });
    }

    /** What needs others goes before them. */
    private static void delete(SnapshotStore store) throws IOException {
        for (int number = 1; number <= COPIES; number++) {
            store.delete(copyId(number));
        }
        for (SnapshotId id : List.of(WARM, READY)) {
            store.delete(id);
        }
        System.out.println("left: " + store.list().stream().map(SnapshotEntry::name).toList());
    }
}
