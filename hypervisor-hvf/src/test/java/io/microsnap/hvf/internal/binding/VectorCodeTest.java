package io.microsnap.hvf.internal.binding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The two instructions of ours, on the processor they are for, emulated. */
class VectorCodeTest {
    @Test
    @Tag("long")
    void theCodeForAArch64PassesAVectorAndTheArgumentsBeforeIt(@TempDir Path directory, ChildProcesses processes)
            throws IOException {
        assumeTrue(isThere("aarch64-linux-gnu-gcc") && isThere("qemu-aarch64-static"), "no compiler or emulator for"
                + " AArch64; to enable: sudo apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
                + " qemu-user-static");
        Path source = directory.resolve("vector.c");
        try (InputStream resource = VectorCodeTest.class.getResourceAsStream("vector.c")) {
            Files.write(source, resource.readAllBytes());
        }
        Path program = directory.resolve("vector");
        var compiled = processes.command("aarch64-linux-gnu-gcc", "-O2", "-static", "-Wall", "-Werror", "-o",
                program.toString(), source.toString()).awaitExit();
        assertThat(compiled.status()).as(compiled.errors()).isZero();
        var ran = processes.command("qemu-aarch64-static", program.toString(),
                HexFormat.of().formatHex(VectorCode.AARCH64.bytes())).awaitExit();
        assertThat(ran.status()).as(ran.output() + ran.errors()).isZero();
        assertThat(ran.output()).contains("passed");
    }

    private static boolean isThere(String program) {
        return Stream.of(System.getenv("PATH").split(":", -1))
                .anyMatch(path -> Files.isExecutable(Path.of(path, program)));
    }
}
