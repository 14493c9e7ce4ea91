package io.microsnap.benchmarks;

import io.microsnap.store.internal.Printable;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * The machine that a run was made on: figures of two machines are not comparable, ratios are.
 *
 * @param storage where the scratch filesystems' images are: filesystem and device
 * @param flags those of the JVM
 */
record Machine(String processor, int processors, long memoryBytes, String kernel, String storage, String jdk,
        String flags) {
    private static final String UNKNOWN = "unknown";

    /** Describes the machine that this JVM runs on. */
    static Machine here() throws IOException {
        return new Machine(Printable.whole(processorName()), Runtime.getRuntime().availableProcessors(),
                Memory.totalBytes(), Printable.whole(kernelName()), Printable.whole(storageName()),
                Printable.whole(System.getProperty("java.vm.name") + " " + System.getProperty("java.runtime.version")),
                Printable.whole(String.join(" ", ManagementFactory.getRuntimeMXBean().getInputArguments())));
    }

    /** Writes this for a person, a line for each part. */
    List<String> lines() {
        return List.of(processors + " × " + processor + ", " + Unit.BYTES.text(memoryBytes) + " of memory",
                kernel, "scratch filesystems on loop devices with direct I/O on " + storage, jdk + "; " + flags);
    }

    private static String processorName() throws IOException {
        Path cpuinfo = Path.of("/proc/cpuinfo");
        if (!Files.isReadable(cpuinfo)) {
            return System.getProperty("os.arch");
        }
        return Files.readAllLines(cpuinfo).stream().filter(line -> line.startsWith("model name"))
                .map(line -> line.substring(line.indexOf(':') + 1).strip()).findFirst()
                .orElse(System.getProperty("os.arch"));
    }

    private static String kernelName() {
        return System.getProperty("os.name") + " " + System.getProperty("os.version") + " "
                + System.getProperty("os.arch");
    }

    private static String storageName() throws IOException {
        FileStore store = Files.getFileStore(Workbench.scratch());
        Path device = Path.of("/sys/class/block").resolve(Path.of(store.name()).getFileName());
        String model = text(device.resolve("device/model"));
        String spins = switch (text(device.resolve("queue/rotational"))) {
            case "0" -> ", does not rotate";
            case "1" -> ", rotates";
            default -> "";
        };
        return store.type() + " on " + store.name() + (model.equals(UNKNOWN) ? "" : " (" + model + ")") + spins;
    }

    private static String text(Path file) {
        try {
            return Files.isReadable(file) ? Files.readString(file).strip() : UNKNOWN;
        } catch (IOException e) {
            return UNKNOWN;
        }
    }
}
