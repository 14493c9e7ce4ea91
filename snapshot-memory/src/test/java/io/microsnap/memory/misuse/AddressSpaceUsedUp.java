package io.microsnap.memory.misuse;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.Capture;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Restores and captures where the process may map little more than it has ({@code RLIMIT_AS}). What is left is always
 * enough for the JVM, and often not for the guest.
 */
final class AddressSpaceUsedUp implements Misuse {
    private static final SnapshotId LARGE = new SnapshotId("large");
    private static final long GUEST_BYTES = 128L << 20;
    /** Compilers and collectors of the JVM take memory as they need it, and end the process where there is none. */
    private static final long JVM_BYTES = 48L << 20;
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of());

    @Override
    public void round(SnapshotStore store, InMemoryPageReader guest, SplittableRandom random) throws Exception {
        GuestLayout layout = GuestLayout.ofSingleRegion(4096, GUEST_BYTES);
        try (GuestRam ram = GuestRam.anonymous(Posix.host(), layout, HugePages.NONE)) {
            for (int write = 0; write < 100; write++) {
                ram.mapping(0).set(ValueLayout.JAVA_LONG, random.nextLong(GUEST_BYTES / 8) * 8, random.nextLong());
            }
            Capture.of(store, LARGE, ram.reader()).take(PAUSED);
            limit(addressSpaceBytes() + JVM_BYTES + random.nextLong(2 * GUEST_BYTES));
            List<RestoredSnapshot> restored = new ArrayList<>();
            try {
                for (int sibling = 0; sibling < 3; sibling++) {
                    restore(store, random, restored);
                }
            } finally {
                unlimited();
            }
            for (RestoredSnapshot one : restored) {
                Misuse.require(one.memory().mapping(0).mismatch(ram.mapping(0)) < 0, "restored were other bytes");
                one.close();
            }
            Misuse.require(!store.isHeld(LARGE), "a restore that failed holds its snapshot");
            store.delete(LARGE);
        }
    }

    private static void restore(SnapshotStore store, SplittableRandom random, List<RestoredSnapshot> restored) {
        try {
            restored.add(switch (random.nextInt(3)) {
                case 0 -> Restore.of(store, LARGE).restore(RestoreEngine.EAGER);
                case 1 -> Restore.of(store, LARGE).restore(RestoreEngine.MEMFD);
                default -> Restore.of(store, LARGE).verified().restore(RestoreEngine.LAZY);
            });
        } catch (IOException | OutOfMemoryError told) {
            // As it should be.
        }
    }

    private static long addressSpaceBytes() throws IOException {
        String pages = Files.readString(Path.of("/proc/self/statm")).split(" ", -1)[0];
        return Long.parseLong(pages) * Posix.host().getpagesize();
    }

    private static void limit(long bytes) throws IOException, InterruptedException {
        prlimit(Long.toString(bytes));
    }

    private static void unlimited() throws IOException, InterruptedException {
        prlimit("unlimited");
    }

    /** By another process: a JVM cannot limit itself, and must not be limited while it starts. */
    private static void prlimit(String soft) throws IOException, InterruptedException {
        Process prlimit = new ProcessBuilder("prlimit", "--pid", Long.toString(ProcessHandle.current().pid()),
                "--as=" + soft + ":").inheritIO().start();
        Misuse.require(prlimit.waitFor() == 0, "prlimit failed");
    }
}
