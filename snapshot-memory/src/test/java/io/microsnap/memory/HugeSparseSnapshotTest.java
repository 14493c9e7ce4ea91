package io.microsnap.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What a store claims to hold costs its reader nothing; only what it does hold is read. */
class HugeSparseSnapshotTest {
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(4096, 16L << 40);
    private static final SnapshotId BASE = new SnapshotId("base");
    private static final SnapshotId DIFF = new SnapshotId("diff");
    /** Of which a JVM with this heap takes the half; an index of this guest alone has 16 GiB. */
    private static final long MOST_KIB = 256 << 10;

    @RealFileSystems(FileSystemKind.XFS)
    void aSparseImageOf16TiBIsVerifiedInLittleMemory(Path place, ChildProcesses children) throws Exception {
        Path path = place.resolve("store");
        try (DirectoryStore store = DirectoryStore.openOrCreate(Posix.host(), path, StoreOptions.PRIVATE)) {
            publish(store, BASE, SnapshotDescription.full(LAYOUT));
            publish(store, DIFF, SnapshotDescription.diff(LAYOUT, store.inspect(BASE).reference()));
            assertThat(store.space(BASE).allocatedBytes()).isLessThan(1 << 20);
        }
        ChildProcess child = children.start(new ProcessBuilder(List.of(
                ProcessHandle.current().info().command().orElseThrow(), "-Xmx32m", "-XX:+UseSerialGC",
                "--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path"),
                Verifies.class.getName(), path.toString())));
        ChildProcess.Exit exit = child.awaitExit();
        assertThat(exit.output().lines().toList()).as(exit.errors()).hasSize(3)
                .startsWith("base whole", "diff whole");
        long peakKib = Long.parseLong(exit.output().lines().toList().getLast().replaceAll("\\D", ""));
        assertThat(peakKib).isLessThan(MOST_KIB);
    }

    private static void publish(DirectoryStore store, SnapshotId id, SnapshotDescription description)
            throws IOException {
        try (StagedSnapshot staged = store.stage(id)) {
            staged.create(SnapshotFiles.MEMORY).truncate(LAYOUT.lengthBytes());
            try (PageIndex index = PageIndex.create(staged.create(SnapshotFiles.PAGE_INDEX), LAYOUT)) {
                index.finish();
            }
            if (description.base().isPresent()) {
                try (PageMap map = PageMap.create(staged.create(SnapshotFiles.PAGE_MAP), LAYOUT)) {
                    map.mark(LAYOUT.pageCount() / 2);
                    map.finish();
                }
            }
            staged.publish(description);
        }
    }

    /** Verifies everything and tells how much memory that took. */
    static final class Verifies {
        private Verifies() {
        }

        public static void main(String[] arguments) throws IOException {
            try (DirectoryStore store =
                    DirectoryStore.open(Posix.host(), Path.of(arguments[0]), StoreOptions.PRIVATE)) {
                for (SnapshotId id : List.of(BASE, DIFF)) {
                    try (StoredSnapshot held = store.hold(id)) {
                        Verification verification = Verification.of(held, 2, Progress.NONE);
                        System.out.println(id + (verification.isWhole() ? " whole" : " damaged"));
                    }
                }
            }
            Files.readAllLines(Path.of("/proc/self/status")).stream().filter(line -> line.startsWith("VmHWM"))
                    .forEach(System.out::println);
        }
    }
}
