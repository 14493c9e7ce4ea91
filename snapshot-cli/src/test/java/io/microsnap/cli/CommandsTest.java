package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.Progress;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.store.internal.SnapshotDescription;
import io.microsnap.store.internal.SnapshotFiles;
import io.microsnap.store.internal.StagedSnapshot;
import io.microsnap.store.internal.StoredSnapshot;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** The commands from outside: what they print, how they end, what they leave. Each has its directory to itself. */
@Execution(ExecutionMode.CONCURRENT)
class CommandsTest {
    private static final int PAGE = 4096;

    @TempDir
    private Path directory;
    private Launcher microsnap;

    @BeforeEach
    void launcher(ChildProcesses processes) {
        microsnap = new Launcher(processes, directory);
    }

    @Test
    void aBakedFileAndItsChangesComeBackByteForByte(Seed seed) throws IOException {
        microsnap = microsnap.eachInItsOwnProcess();
        Path ram = ram("ram", 8 << 20, seed);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a", "--image", "deb", "--label", "team=x");
        byte[] first = Files.readAllBytes(ram);
        overwrite(ram, 3 * PAGE, "three");
        overwrite(ram, (8 << 20) - 5, "ended");
        Map<?, ?> baked = microsnap.json(0, "bake", "--ram", "ram", "--store", "s", "--id", "b", "--base", "a");
        assertThat(baked.get("pages")).isEqualTo(2L);
        assertThat(((Map<?, ?>) baked.get("parent")).get("id")).isEqualTo("a");

        microsnap.run(0, "restore", "--store", "s", "--id", "a", "--to", "first");
        assertThat(Files.readAllBytes(directory.resolve("first"))).isEqualTo(first);
        Map<?, ?> restored = microsnap.json(0, "restore", "--store", "s", "--id", "b", "--to", "second");
        assertThat(restored.get("size_bytes")).isEqualTo(8L << 20);
        assertThat(Files.mismatch(directory.resolve("second"), ram)).isEqualTo(-1);
        assertThat(microsnap.run(1, "restore", "--store", "s", "--id", "b", "--to", "second").errors())
                .contains("second").contains("exists already");

        Map<?, ?> difference = microsnap.json(0, "diff", "--store", "s", "--id", "a", "--with", "b");
        assertThat(difference.get("pages")).isEqualTo(2L);
        assertThat(microsnap.run(0, "diff", "--store", "s", "--id", "a", "--with", "b").output())
                .contains("0x3000: 1 pages").contains("0x7ff000: 1 pages");
    }

    @Test
    void parentIsAnotherNameForBase(Seed seed) throws IOException {
        Path ram = ram("ram", 1 << 20, seed);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");
        overwrite(ram, 3 * PAGE, "three");
        Map<?, ?> baked = microsnap.json(0, "bake", "--ram", "ram", "--store", "s", "--id", "b", "--parent", "a");
        assertThat(baked.get("pages")).isEqualTo(1L);
        assertThat(((Map<?, ?>) baked.get("base")).get("id")).isEqualTo("a");
        assertThat(microsnap.run(2, "bake", "--ram", "ram", "--store", "s", "--id", "c", "--base", "a", "--parent",
                "b").errors()).contains("only once");
    }

    @Test
    void whatIsThereIsReplacedOnlyWhenAsked(Seed seed) throws IOException {
        Path ram = ram("ram", 1 << 20, seed);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");
        microsnap.run(0, "restore", "--store", "s", "--id", "a", "--to", "file");
        overwrite(ram, 0, "changed");
        assertThat(microsnap.run(1, "bake", "--ram", "ram", "--store", "s", "--id", "a").errors())
                .contains("has a snapshot of this id already");
        assertThat(microsnap.run(1, "restore", "--store", "s", "--id", "a", "--to", "file").errors())
                .contains("exists already");
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a", "--replace");
        microsnap.run(0, "restore", "--store", "s", "--id", "a", "--to", "file", "--replace");
        assertThat(Files.mismatch(directory.resolve("file"), ram)).isEqualTo(-1);
    }

    @Test
    void aWorkingSetIsShownAndCleared(Seed seed) throws IOException {
        ram("ram", 1 << 20, seed);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");
        assertThat(microsnap.run(0, "working-set", "--store", "s", "--id", "a").output())
                .contains("no working set was recorded");
        try (DirectoryStore store =
                DirectoryStore.open(Posix.host(), directory.resolve("s"), StoreOptions.PRIVATE);
                StoredSnapshot held = store.hold(new SnapshotId("a"))) {
            held.addRecording(recording -> recording.touched(0, 64 * PAGE));
        }
        Map<?, ?> set = (Map<?, ?>) microsnap.json(0, "working-set", "--store", "s", "--id", "a").get("working_set");
        assertThat(set.get("pages")).isEqualTo(64L);
        assertThat(set.get("coverage")).isEqualTo(0.25);
        assertThat(microsnap.run(0, "working-set", "--store", "s", "--id", "a").output())
                .contains("25.0 % of the guest's memory").contains("recordings  1");
        assertThat(microsnap.json(0, "working-set", "--store", "s", "--id", "a", "--clear").get("cleared"))
                .isEqualTo(true);
        assertThat(microsnap.json(0, "working-set", "--store", "s", "--id", "a").get("working_set")).isNull();
    }

    @Test
    void aStoreIsListedInspectedVerifiedTransferredAndEmptied(Seed seed) throws IOException {
        ram("ram", 1 << 20, seed);
        Files.writeString(directory.resolve("state"), "vmm state");
        Files.writeString(directory.resolve("disk"), "overlay");
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a", "--state", "state", "--attach", "disk");
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "b", "--base", "a", "--quiet");
        assertThat(microsnap.run(0, "list", "--store", "s").output().lines()).hasSize(3)
                .allMatch(line -> line.length() <= 80);
        assertThat((List<?>) microsnap.json(0, "list", "--store", "s").get("snapshots")).hasSize(2);
        assertThat(microsnap.run(0, "inspect", "--store", "s", "--id", "a", "--hex").output())
                .contains("attachments/disk").contains("name vmm");
        assertThat(microsnap.json(0, "inspect", "--store", "s", "--id", "b").get("space")).isNotNull();
        assertThat(microsnap.json(0, "verify", "--store", "s").get("ok")).isEqualTo(true);
        assertThat(microsnap.run(1, "delete", "--store", "s", "--id", "a").errors()).contains("by other snapshots");
        microsnap.run(0, "transfer", "--store", "s", "--id", "b", "--to-store", "t");
        assertThat((List<?>) microsnap.json(0, "list", "--store", "t").get("snapshots")).hasSize(2);
        assertThat(microsnap.json(0, "delete", "--store", "s", "--id", "b").get("deleted")).isEqualTo("b");
        microsnap.run(0, "delete", "--store", "s", "--id", "a");
        assertThat(microsnap.json(0, "gc", "--store", "s").get("removed")).isEqualTo(0L);
        assertThat(microsnap.run(0, "list", "--store", "s").output()).contains("no snapshots");
        assertThat(microsnap.run(0, "gc", "--store", "s").output()).contains("removed 0 unfinished");
        Map<?, ?> transferred = microsnap.json(0, "transfer", "--store", "t", "--id", "b", "--to-store", "u");
        assertThat((List<?>) transferred.get("transferred")).hasSize(2);
    }

    @Test
    void damageIsToldWithTheGuestAddressAndItsOwnStatus(Seed seed) throws IOException {
        ram("ram", 1 << 20, seed);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a", "--region", "0x100000:1M");
        Path image = directory.resolve("s/a/memory.img");
        assertThat(image.toFile().setWritable(true)).isTrue();
        overwrite(image, 5 * PAGE, "!");
        assertThat(microsnap.run(3, "verify", "--store", "s", "--id", "a").output()).contains("0x105000");
        Map<?, ?> verified = microsnap.json(3, "verify", "--store", "s");
        assertThat(verified.get("ok")).isEqualTo(false);
        Files.writeString(directory.resolve("s/a/snapshot.json"), "{");
        assertThat(microsnap.run(0, "list", "--store", "s").output()).contains("damaged");
        microsnap.run(3, "inspect", "--store", "s", "--id", "a");
    }

    @Test
    void whatADeadProcessLeftIsRemovedAndCounted(Seed seed) throws IOException {
        ram("ram", 1 << 20, seed);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");
        Path leftover = Files.createDirectory(directory.resolve("s/.staging/" + "0".repeat(32)));
        Files.write(leftover.resolve("memory.img"), new byte[1 << 20]);
        Map<?, ?> removed = microsnap.json(0, "gc", "--store", "s");
        assertThat(removed.get("removed")).isEqualTo(1L);
        assertThat((Long) removed.get("freed_bytes")).isGreaterThanOrEqualTo(1L << 20);
        assertThat(isStaging()).isFalse();
    }

    @Test
    void oneThatCannotBeVerifiedDoesNotKeepTheOthersFromIt(Seed seed) throws IOException {
        Path ram = ram("ram", 1 << 20, seed);
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "a");
        try (DirectoryStore store =
                DirectoryStore.open(Posix.host(), directory.resolve("s"), StoreOptions.PRIVATE);
                StoredSnapshot held = store.hold(new SnapshotId("a"));
                StagedSnapshot staged = store.stage(new SnapshotId("0-future"))) {
            staged.copy(SnapshotFiles.MEMORY, held.image(), Progress.NONE);
            staged.copy(SnapshotFiles.PAGE_INDEX, held.open(SnapshotFiles.PAGE_INDEX), Progress.NONE);
            staged.publish(SnapshotDescription.full(held.layout()).withRequired("time-travel"));
        }
        assertThat(microsnap.run(1, "verify", "--store", "s").output()).contains("time-travel").contains("a: whole");
        assertThat((List<?>) microsnap.json(1, "verify", "--store", "s").get("snapshots")).hasSize(2);
        overwrite(ram, 0, "changed");
        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "b", "--base", "a");
        Files.move(directory.resolve("s/a"), directory.resolve("moved"));
        assertThat(microsnap.run(3, "verify", "--store", "s", "--id", "b").output()).contains("requires the base a");
    }

    @Test
    void aWrongCommandLineSaysWhatIsWrongAndChangesNothing(Seed seed, ChildProcesses processes) throws IOException {
        Path ram = ram("ram", 1 << 20, seed);
        assertThat(microsnap.run(2).errors()).contains("which command");
        assertThat(microsnap.run(2, "frobnicate").errors()).contains("frobnicate");
        assertThat(microsnap.run(2, "bake", "--ram", "ram", "--store", "s").errors()).contains("--id");
        assertThat(microsnap.run(2, "inspect", "--store", "s", "--id", "../x").errors()).contains("'../x'");
        assertThat(microsnap.run(2, "bake", "--ram", "ram", "--store", "s", "--id", "a", "--region", "12").errors())
                .contains("':'");
        assertThat(microsnap.run(2, "dedup", "--store", "s", "--against", "a").errors()).contains("--id");
        assertThat(microsnap.run(2, "copy", "ram", "other", "--strategy", "magic").errors()).contains("magic");
        assertThat(microsnap.run(2, "demo", "--dirty", "many").errors()).contains("many");
        assertThat(microsnap.run(1, "list", "--store", "none").errors()).contains("none").contains("does not exist");
        overwrite(ram, 1 << 20, "odd");
        assertThat(microsnap.run(1, "bake", "--ram", "ram", "--store", "s", "--id", "a").errors())
                .contains("not a whole number of pages");
        assertThat(microsnap.run(1, "bake", "--ram", "none", "--store", "s", "--id", "a").errors()).contains("none");
        Path even = ram("even", 1 << 20, seed);
        processes.command("mkfifo", directory.resolve("pipe").toString()).awaitExit();
        assertThat(microsnap.run(1, "bake", "--ram", "pipe", "--store", "s", "--id", "a").errors())
                .contains("pipe is neither a file nor a block device");
        assertThat(microsnap.run(2, "bake", "--ram", even.toString(), "--store", "s", "--id", "a", "--label", "_=x")
                .errors()).contains("'_' cannot name a label");
        assertThat(directory.resolve("s")).doesNotExist();
        assertThat(microsnap.run(1, "bake", "--ram", "even", "--store", "s", "--id", "a", "--state", "pipe").errors())
                .contains("pipe is not a regular file");
        assertThat(microsnap.run(2, "bake", "--ram", "even", "--store", "s", "--id", "a", "--attach", "/").errors())
                .contains("--attach");
        Map<?, ?> failure = microsnap.json(1, "inspect", "--store", "none", "--id", "a");
        assertThat(failure.get("status")).isEqualTo(1L);
    }

    @Test
    void aFileIsCopiedAndAnExistingOneKept(Seed seed) throws IOException {
        Path ram = ram("ram", 1 << 20, seed);
        Map<?, ?> copied = microsnap.json(0, "copy", "ram", "copy", "--strategy", "unshared");
        assertThat(copied.get("size_bytes")).isEqualTo(1L << 20);
        assertThat(Files.mismatch(ram, directory.resolve("copy"))).isEqualTo(-1);
        Files.writeString(directory.resolve("copy"), "mine");
        microsnap.run(1, "copy", "ram", "copy");
        assertThat(directory.resolve("copy")).hasContent("mine");
        microsnap.run(0, "copy", "ram", "copy", "--replace", "--quiet");
        assertThat(Files.mismatch(ram, directory.resolve("copy"))).isEqualTo(-1);
    }

    @Test
    void aClosedPipeIsAFailureOfTheOutputAlone(Seed seed, ChildProcesses processes) throws IOException {
        ram("ram", 1 << 20, seed);
        ChildProcess.Exit exit = processes.start(microsnap.builder(
                "bake", "--ram", "ram", "--store", "s", "--id", "a").redirectOutput(Path.of("/dev/full").toFile()))
                .awaitExit();
        assertThat(exit.status()).isEqualTo(1);
        assertThat(exit.errors()).contains("standard output").contains("was carried out");
        assertThat(microsnap.json(0, "verify", "--store", "s").get("ok")).isEqualTo(true);
    }

    @Test
    void aReaderThatWentAwayIsAFailureOfTheOutputAlone(Seed seed, ChildProcesses processes) throws IOException {
        ram("ram", 1 << 20, seed);
        // A pipe with a writer and no reader any more.
        List<String> command = new ArrayList<>(List.of("bash", "-c",
                "mkfifo pipe && exec 4<>pipe 5>pipe 4<&- && exec \"$0\" \"$@\" >&5"));
        command.addAll(microsnap.builder("bake", "--ram", "ram", "--store", "s", "--id", "a", "--json").command());
        ChildProcess.Exit exit = processes.start(new ProcessBuilder(command).directory(directory.toFile()))
                .awaitExit();
        assertThat(exit.status()).as(exit.errors()).isEqualTo(1);
        assertThat(exit.errors()).contains("closed by its reader").doesNotContain("\tat ");
        assertThat(microsnap.json(0, "verify", "--store", "s").get("ok")).isEqualTo(true);
    }

    @RealFileSystems({FileSystemKind.EXT4, FileSystemKind.XFS})
    void threeChangedPagesOfAGibibyteTakeLessThanAMebibyte(Path place, Seed seed, ChildProcesses processes)
            throws IOException {
        Path ram = ram("ram", 32 << 20, seed);
        try (RandomAccessFile file = new RandomAccessFile(ram.toFile(), "rw")) {
            file.setLength(1L << 30);
        }
        String store = place.resolve("s").toString();
        microsnap.run(0, "bake", "--ram", "ram", "--store", store, "--id", "a");
        Path first = directory.resolve("first");
        assertThat(ends(processes, "cp", "--sparse=always", ram, first)).isZero();
        for (long offset : new long[] {0, 20 << 20, (1L << 30) - PAGE}) {
            overwrite(ram, offset, "changed");
        }
        long before = usedBytes(place, processes);
        microsnap.run(0, "bake", "--ram", "ram", "--store", store, "--id", "b", "--base", "a");
        long indexBytes = Files.size(place.resolve("s/b/memory.idx"));
        assertThat(usedBytes(place, processes) - before).isLessThan((1 << 20) + indexBytes);
        microsnap.run(0, "restore", "--store", store, "--id", "a", "--to", place.resolve("a").toString());
        microsnap.run(0, "restore", "--store", store, "--id", "b", "--to", place.resolve("b").toString());
        assertThat(ends(processes, "cmp", "--silent", place.resolve("a"), first)).isZero();
        assertThat(ends(processes, "cmp", "--silent", place.resolve("b"), ram)).isZero();
    }

    /** A gibibyte of little but holes: these programs go through it many times faster than Java. */
    private static int ends(ChildProcesses processes, String program, String option, Path one, Path other) {
        return processes.command(program, option, one.toString(), other.toString()).awaitExit().status();
    }

    private static long usedBytes(Path place, ChildProcesses processes) throws IOException {
        FileStore fileSystem = Files.getFileStore(place);
        if (fileSystem.type().equals("xfs")) {
            // XFS keeps blocks beyond the end of files that were just written, and gives them back minutes later.
            assertThat(processes.command("xfs_spaceman", "-c", "prealloc -s", place.toString()).awaitExit().status())
                    .isZero();
        }
        return fileSystem.getTotalSpace() - fileSystem.getUnallocatedSpace();
    }

    @Test
    void onATerminalProgressIsDrawnAndItsCtrlCEndsTheWork(ChildProcesses processes) throws IOException {
        longRam();
        String command = microsnap.builder("bake", "--ram", "ram", "--store", "s", "--id", "a").command().stream()
                .map(word -> "'" + word + "'").collect(Collectors.joining(" "));
        ChildProcess terminal = processes.startInterruptible(new ProcessBuilder(
                "script", "--quiet", "--return", "--flush", "--command", command, "/dev/null")
                .directory(directory.toFile()));
        assertThat(terminal.awaitLine(" of 64.0 GiB, ")).contains("/s");
        terminal.send("\u0003");
        ChildProcess.Exit exit = terminal.awaitExit();
        assertThat(exit.status()).as(exit.output()).isEqualTo(130);
        assertThat(isStaging()).isFalse();
    }

    /** Data here and there, so that every step of the long way reads and writes something. */
    private void longRam() throws IOException {
        try (RandomAccessFile ram = new RandomAccessFile(directory.resolve("ram").toFile(), "rw")) {
            ram.setLength(64L << 30);
            for (long offset = 0; offset < 64L << 30; offset += 1 << 20) {
                ram.seek(offset);
                ram.write(1);
            }
        }
    }

    @Test
    void ctrlCInTheMiddleOfABakeLeavesNothing(ChildProcesses processes) throws IOException {
        longRam();
        ChildProcess bake = processes.startInterruptible(
                microsnap.builder("bake", "--ram", "ram", "--store", "s", "--id", "a"));
        while (!isStaging()) {
            Thread.onSpinWait();
            assertThat(ProcessHandle.of(bake.pid()).map(ProcessHandle::isAlive)).as("still baking").contains(true);
        }
        processes.command("kill", "-INT", Long.toString(bake.pid())).awaitExit();
        ChildProcess.Exit exit = bake.awaitExit();
        assertThat(exit.status()).as(exit.errors()).isEqualTo(130);
        assertThat(exit.errors()).contains("nothing was changed");
        assertThat(isStaging()).isFalse();
        assertThat(microsnap.json(0, "gc", "--store", "s").get("removed")).isEqualTo(0L);
        assertThat((List<?>) microsnap.json(0, "list", "--store", "s").get("snapshots")).isEmpty();
    }

    @RealFileSystems(FileSystemKind.XFS)
    void siblingsAreDeduplicatedWhereTheFilesystemCan(Path place, Seed seed) throws IOException {
        Path ram = ram("ram", 4 << 20, seed);
        String store = place.resolve("s").toString();
        microsnap.run(0, "bake", "--ram", "ram", "--store", store, "--id", "a", "--image", "i", "--baked-by", "1");
        overwrite(ram, 7 * PAGE, "changed");
        Map<?, ?> baked = microsnap.json(0, "bake", "--ram", "ram", "--store", store, "--id", "b", "--image", "i",
                "--baked-by", "1");
        assertThat(((Map<?, ?>) baked.get("dedup")).get("outcome")).isEqualTo("deduplicated");
        assertThat((Long) ((Map<?, ?>) baked.get("space")).get("exclusive_bytes")).isLessThan(1L << 20);
        microsnap.run(0, "delete", "--store", store, "--id", "b");
        Map<?, ?> alone = microsnap.json(0, "bake", "--ram", "ram", "--store", store, "--id", "b", "--image", "i",
                "--baked-by", "1", "--no-dedup");
        assertThat(((Map<?, ?>) alone.get("dedup")).get("reason")).isEqualTo("switched_off");
        Map<?, ?> estimated = microsnap.json(0, "dedup", "--store", store, "--dry-run");
        assertThat((Long) estimated.get("equal_bytes")).isGreaterThan(3L << 20);
        assertThat((List<?>) estimated.get("snapshots")).hasSize(1);
        Map<?, ?> ofTheOldest = microsnap.json(0, "dedup", "--store", store, "--dry-run", "--id", "a");
        assertThat(ofTheOldest.get("equal_bytes")).isEqualTo(estimated.get("equal_bytes"));
        Map<?, ?> ofTwo = microsnap.json(0, "dedup", "--store", store, "--dry-run", "--id", "b", "--against", "a",
                "--budget", "all", "--engine", "clone-and-swap");
        assertThat(ofTwo.get("sharable_bytes")).isEqualTo(estimated.get("sharable_bytes"));
        assertThat(microsnap.run(2, "dedup", "--store", store, "--budget", "-1").errors()).contains("'all'");
        assertThat(microsnap.run(2, "dedup", "--store", store, "--engine", "x").errors()).contains("share-in-place");
        microsnap.run(1, "dedup", "--store", store, "--dry-run", "--id", "none");
        Map<?, ?> shared = microsnap.json(0, "dedup", "--store", store, "--id", "b", "--against", "a");
        Map<?, ?> outcome = (Map<?, ?>) ((List<?>) shared.get("snapshots")).getFirst();
        assertThat(outcome.get("outcome")).as(outcome.toString()).isEqualTo("deduplicated");
        assertThat(outcome.get("shared_bytes")).isEqualTo(estimated.get("sharable_bytes"));
        assertThat((Long) outcome.get("freed_bytes")).isPositive();
        assertThat(microsnap.run(0, "dedup", "--store", store).output()).contains("b: left alone");
        assertThat(microsnap.json(0, "verify", "--store", store).get("ok")).isEqualTo(true);
        List<?> findings = (List<?>) microsnap.json(0, "doctor", place.toString()).get("findings");
        assertThat(findings).anySatisfy(finding -> {
            assertThat(((Map<?, ?>) finding).get("what")).isEqualTo("clones");
            assertThat(((Map<?, ?>) finding).get("ok")).isEqualTo(true);
        });
        assertThat(microsnap.run(0, "doctor", place.toString()).output().lines())
                .filteredOn(line -> line.contains(" ")).as("lines that can be broken")
                .allMatch(line -> line.length() <= 80 || line.strip().indexOf(' ') < 0);
        try (Stream<Path> left = Files.list(place)) {
            assertThat(left).as("doctor leaves nothing").containsExactly(place.resolve("s"));
        }
    }

    private boolean isStaging() throws IOException {
        Path staging = directory.resolve("s/.staging");
        if (!Files.isDirectory(staging)) {
            return false;
        }
        try (Stream<Path> entries = Files.list(staging)) {
            return entries.findAny().isPresent();
        }
    }

    private Path ram(String name, int bytes, Seed seed) throws IOException {
        byte[] content = new byte[bytes];
        seed.random().nextBytes(content);
        return Files.write(directory.resolve(name), content);
    }

    private static void overwrite(Path file, long offset, String text) throws IOException {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.seek(offset);
            open.writeBytes(text);
        }
    }
}
