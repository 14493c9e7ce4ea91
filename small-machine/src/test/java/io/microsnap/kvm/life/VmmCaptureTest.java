package io.microsnap.kvm.life;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.MachineStateSection;
import io.microsnap.core.PageReader;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.Region;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtySource;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.Kvm;
import io.microsnap.kvm.KvmTest;
import io.microsnap.kvm.VirtualMachine;
import io.microsnap.kvm.Vmm;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.CaptureResult;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.memory.internal.reader.FileMemoryReader;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The guest of a VMM in C is captured: in its own process, and from outside. */
@KvmTest
class VmmCaptureTest {
    private static final Posix POSIX = Posix.host();
    private static final GuestLayout LAYOUT = GuestLayout.of(4096,
            List.of(new Region(0, 8 << 20), new Region(1L << 32, 4 << 20)));

    @Test
    void aVmmInThisProcessIsCapturedInFullThenByWhatChangedAndNoticesNothing(
            CCompiler compiler, @TempDir Path directory) throws IOException {
        try (Kvm kvm = Kvm.open(); Vmm vmm = new Vmm(compiler.library(Vmm.class, "vmm.c"));
                VirtualMachine vm = VirtualMachine.attach(vmm.vmDescriptor(), List.of(vmm.vcpuDescriptor()),
                        vmm.slots(), DirtyTracking.LOG);
                DirtyTracker tracker = DirtyTracker.of(LAYOUT, vm.openDirtySource());
                GuestRam seen = GuestRam.anonymous(POSIX, LAYOUT, HugePages.NONE)) {
            PageReader reader = vm.memory().reader();
            PausableMachine machine = new PausableMachine() {
                @Override
                public void pause() {
                    vmm.pause();
                }

                @Override
                public List<MachineStateSection> saveState() throws IOException {
                    return vm.saveState(kvm);
                }

                @Override
                public void resume() throws IOException {
                    look(reader, seen);
                    vmm.resume();
                }
            };
            List<CaptureKind> kinds = new ArrayList<>();
            try (DirectoryStore store = store(directory)) {
                for (int number = 0; number < 5; number++) {
                    long start = vmm.counter();
                    vmm.resume();
                    while (vmm.counter() < start + 200) {
                        Thread.onSpinWait();
                    }
                    kinds.add(capture(store, number, reader, tracker, machine).kind());
                    assertRestores(store, number, seen);
                }
            }
            assertThat(kinds).containsExactly(CaptureKind.FULL, CaptureKind.DIFF, CaptureKind.DIFF, CaptureKind.DIFF,
                    CaptureKind.DIFF);
            assertThat(vmm.surprises()).isZero();
        }
    }

    @Test
    void aVmmInItsOwnProcessHandsOverItsMemoryAndIsCapturedThroughThePageMap(
            CCompiler compiler, ChildProcesses processes, @TempDir Path directory) throws IOException {
        ChildProcess vmm = processes.command(compiler.program(Vmm.class, "vmm.c").toString());
        List<String> words = List.of(vmm.awaitLine("ready").split(" ", -1));
        long[] addresses = {Long.parseLong(words.get(3)), Long.parseLong(words.get(4))};
        try (Descriptor memory = Descriptor.ofProcess(POSIX, vmm.pid(), Integer.parseInt(words.get(1)), "their memfd");
                DirtyTracker tracker = DirtyTracker.of(
                        LAYOUT, DirtySource.ofPageMap(LAYOUT, addresses, vmm.pid(), Integer.parseInt(words.get(2))));
                GuestRam seen = GuestRam.anonymous(POSIX, LAYOUT, HugePages.NONE);
                DirectoryStore store = store(directory)) {
            PageReader reader = FileMemoryReader.of(memory, LAYOUT);
            PausableMachine machine = new PausableMachine() {
                @Override
                public void pause() {
                    tell(vmm, "pause");
                }

                /** The VMM keeps its own. */
                @Override
                public List<MachineStateSection> saveState() {
                    return List.of();
                }

                @Override
                public void resume() throws IOException {
                    look(reader, seen);
                    tell(vmm, "resume");
                }
            };
            List<CaptureKind> kinds = new ArrayList<>();
            for (int number = 0; number < 5; number++) {
                long start = tell(vmm, "resume");
                while (tell(vmm, "") < start + 200) {
                    Thread.onSpinWait();
                }
                CaptureResult result = capture(store, number, reader, tracker, machine);
                kinds.add(result.kind());
                assertThat(result.memory().pagesRecorded()).isPositive();
                assertRestores(store, number, seen);
            }
            assertThat(kinds).containsExactly(CaptureKind.FULL, CaptureKind.DIFF, CaptureKind.DIFF, CaptureKind.DIFF,
                    CaptureKind.DIFF);
        }
        vmm.endInput();
        assertThat(vmm.awaitExit().status()).isZero();
    }

    /** Gives the VMM a command, sees that nothing surprised it, and returns its guest's counter. */
    private static long tell(ChildProcess vmm, String command) {
        vmm.send(command);
        List<String> words = List.of(vmm.awaitLine("done").split(" ", -1));
        assertThat(words.get(2)).as("surprises").isEqualTo("0");
        return Long.parseLong(words.get(1));
    }

    private static DirectoryStore store(Path directory) throws IOException {
        return DirectoryStore.openOrCreate(POSIX, directory.resolve("store"), StoreOptions.PRIVATE);
    }

    private static CaptureResult capture(DirectoryStore store, int number, PageReader reader, DirtyTracker tracker,
            PausableMachine machine) throws IOException {
        return Capture.of(store, id(number), reader).tracker(tracker).take(machine);
    }

    private static void look(PageReader reader, GuestRam into) throws IOException {
        for (int region = 0; region < LAYOUT.regions().size(); region++) {
            reader.read(LAYOUT.imageOffset(region), into.mapping(region));
        }
    }

    private static void assertRestores(DirectoryStore store, int number, GuestRam expected) throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, id(number)).verified().restore(RestoreEngine.LAZY)) {
            for (int region = 0; region < LAYOUT.regions().size(); region++) {
                MemorySegment memory = restored.memory().mapping(region);
                assertThat(memory.mismatch(expected.mapping(region))).as("region %d of %s", region, id(number))
                        .isEqualTo(-1);
            }
        }
    }

    private static SnapshotId id(int number) {
        return new SnapshotId("vmm-" + number);
    }
}
