package io.microsnap.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A guest of QEMU, whose RAM is a file, is baked and comes back as QEMU itself saw it. */
class QemuTest {
    private static final int RAM_BYTES = 16 << 20;
    private static final int END_OF_LOW_RAM = 0xA0000;
    private static final int START_OF_HIGH_RAM = 0x100000;
    private static final int WRITTEN_BY_THE_GUEST = 0x8000;
    /**
     * {@code xor ax,ax; mov ds,ax; mov bx,0x8000; again: inc word [bx]; add bx,2; cmp bx,0xf000; jb again;
     * mov bx,0x8000; jmp again}.
     */
    private static final String BOOT_CODE = "31c08ed8bb0080ff0783c30281fb00f072f5bb0080ebf0";

    @TempDir
    private Path directory;

    @Test
    void aPausedGuestIsBakedAndRestoredAsQemuSawIt(ChildProcesses processes) throws IOException {
        assumeTrue(Stream.of(System.getenv("PATH").split(":", -1)).anyMatch(
                place -> Files.isExecutable(Path.of(place, "qemu-system-x86_64"))),
                "qemu-system-x86_64 is not installed; apt-get install qemu-system-x86, or as root ./check --long");
        Launcher microsnap = new Launcher(processes, directory);
        byte[] sector = Arrays.copyOf(HexFormat.of().parseHex(BOOT_CODE), 512);
        sector[510] = 0x55;
        sector[511] = (byte) 0xAA;
        Files.write(directory.resolve("boot"), sector);
        ChildProcess qemu = processes.start(new ProcessBuilder("qemu-system-x86_64", "-nodefaults", "-display", "none",
                "-accel", "tcg", "-m", "16", "-machine", "pc,memory-backend=ram",
                "-object", "memory-backend-file,id=ram,size=16M,mem-path=ram,share=on",
                "-drive", "file=boot,format=raw,if=floppy", "-monitor", "stdio").directory(directory.toFile()));
        Path ram = directory.resolve("ram");
        while (!hasRun(ram)) {
            assertThat(ProcessHandle.of(qemu.pid()).map(ProcessHandle::isAlive)).contains(true);
            Thread.onSpinWait();
        }
        qemu.send("stop");
        qemu.send("pmemsave 0 " + END_OF_LOW_RAM + " low");
        qemu.send("pmemsave " + START_OF_HIGH_RAM + " " + (RAM_BYTES - START_OF_HIGH_RAM) + " high");
        qemu.send("info status");
        qemu.awaitLine("VM status: paused");

        microsnap.run(0, "bake", "--ram", "ram", "--store", "s", "--id", "guest");
        microsnap.run(0, "restore", "--store", "s", "--id", "guest", "--to", "restored");
        byte[] restored = Files.readAllBytes(directory.resolve("restored"));
        assertThat(restored).hasSize(RAM_BYTES);
        // Between them lie video memory and firmware, which the file is not asked for.
        assertThat(Arrays.copyOf(restored, END_OF_LOW_RAM)).isEqualTo(Files.readAllBytes(directory.resolve("low")));
        assertThat(Arrays.copyOfRange(restored, START_OF_HIGH_RAM, RAM_BYTES))
                .isEqualTo(Files.readAllBytes(directory.resolve("high")));
        assertThat(restored[WRITTEN_BY_THE_GUEST]).as("the guest had written").isNotZero();
    }

    private static boolean hasRun(Path ram) throws IOException {
        if (!Files.exists(ram) || Files.size(ram) < RAM_BYTES) {
            return false;
        }
        try (RandomAccessFile file = new RandomAccessFile(ram.toFile(), "r")) {
            file.seek(WRITTEN_BY_THE_GUEST);
            return file.read() > 0;
        }
    }
}
