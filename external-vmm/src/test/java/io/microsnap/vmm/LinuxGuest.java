package io.microsnap.vmm;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.core.internal.posix.Posix;
import io.microsnap.testsupport.Checkout;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.vmm.internal.host.VmmProcess;
import io.microsnap.vmm.internal.wire.QmpConnection;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** A real Linux in a real QEMU, in software emulation, which ticks on its serial line and watches its own memory. */
final class LinuxGuest {
    static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final Pattern TICK = Pattern.compile("tick (\\d+) whole");

    private final ChildProcess process;
    private final Path directory;

    private LinuxGuest(ChildProcess process, Path directory) {
        this.process = process;
        this.directory = directory;
    }

    /** A guest whose RAM is the file {@code ram} of the directory; skips the test where there is no QEMU. */
    static LinuxGuest start(ChildProcesses processes, Path directory, String machine, String memory, String... more)
            throws IOException {
        return start(processes, directory, words(directory, machine, memory, directory.resolve("ram"), "share=on",
                more));
    }

    /** The command line of such a guest. */
    static List<String> words(Path directory, String machine, String memory, Path ram, String sharing, String... more)
            throws IOException {
        Path linux = linux();
        List<String> words = new ArrayList<>(List.of("qemu-system-x86_64", "-nodefaults", "-display", "none",
                "-accel", "tcg", "-m", memory, "-machine", machine + ",memory-backend=ram",
                "-object", "memory-backend-file,id=ram,size=" + memory + ",mem-path=" + ram + "," + sharing,
                "-kernel", linux.resolve("vmlinuz").toString(), "-initrd", linux.resolve("initramfs").toString(),
                "-append", "console=ttyS0 quiet", "-serial", "stdio",
                "-qmp", "unix:" + directory.resolve("qmp") + ",server=on,wait=off"));
        words.addAll(List.of(more));
        return words;
    }

    /** A QEMU with any command line; it is waited for until its socket is there. */
    static LinuxGuest start(ChildProcesses processes, Path directory, List<String> words) throws IOException {
        ChildProcess process = processes.start(new ProcessBuilder(words).directory(directory.toFile()));
        LinuxGuest guest = new LinuxGuest(process, directory);
        VmmProcess.await(Posix.host(), guest.socket(), OptionalLong.empty(), PATIENCE);
        return guest;
    }

    private static Path linux() throws IOException {
        assumeTrue(Stream.of(System.getenv("PATH").split(":", -1)).anyMatch(
                place -> Files.isExecutable(Path.of(place, "qemu-system-x86_64"))),
                "qemu-system-x86_64 is not installed; to enable: apt-get install qemu-system-x86");
        Path ready = Checkout.root().resolve("target/linux-guest");
        if (!Files.exists(ready.resolve("version"))) {
            Process script = new ProcessBuilder(Checkout.root().resolve("support/linux-guest").toString())
                    .redirectErrorStream(true).start();
            String said = new String(script.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int status = script.onExit().join().exitValue();
            assumeTrue(status == 0, "there is no Linux guest: " + said.lines().reduce("", (first, last) -> last));
        }
        return ready;
    }

    /** Waits for the next tick, which says that memory is whole, and returns its number. */
    int awaitTick() {
        Matcher tick = TICK.matcher(process.awaitLine("tick "));
        if (!tick.find()) {
            throw new AssertionError("the guest says that its memory is damaged: " + process);
        }
        return Integer.parseInt(tick.group(1));
    }

    /** The last tick that it said so far. */
    int lastTick() {
        Matcher tick = TICK.matcher(process.toString());
        int last = 0;
        while (tick.find()) {
            last = Integer.parseInt(tick.group(1));
        }
        return last;
    }

    Path socket() {
        return directory.resolve("qmp");
    }

    /** A monitor's connection; QEMU serves the next one when this is closed. */
    QmpConnection connect() throws IOException {
        return QmpConnection.open(socket(), PATIENCE);
    }

    String status() throws IOException {
        try (QmpConnection qmp = connect()) {
            return qmp.execute("query-status", Map.of(), PATIENCE).get("status").text();
        }
    }

    void pmemsave(long address, long lengthBytes, Path file) throws IOException {
        try (QmpConnection qmp = connect()) {
            qmp.execute("pmemsave", Map.of("val", address, "size", lengthBytes, "filename", file.toString()),
                    PATIENCE);
        }
    }

    void kill() {
        process.kill();
    }

    ChildProcess process() {
        return process;
    }
}
