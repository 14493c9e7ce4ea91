package io.microsnap.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Lets this process, and those that it starts from then on, read slowly from one device, until it is closed. */
final class Throttle implements AutoCloseable {
    private static final Path FIRST_VERSION = Path.of("/sys/fs/cgroup/blkio");
    private static final int MAJOR_SHIFT = 8;
    private static final int MAJOR_MASK = 0xFFF;
    private static final int MINOR_LOW_MASK = 0xFF;
    private static final int MINOR_HIGH_SHIFT = 12;

    private final Path group;
    private final Path former;

    /** How slow a device is. */
    enum Limit {
        NONE("", ""),
        /** So many requests a second. */
        REQUESTS("blkio.throttle.read_iops_device", "50"),
        /** So many bytes a second. */
        BYTES("blkio.throttle.read_bps_device", "100000000");

        private final String file;
        private final String value;

        Limit(String file, String value) {
            this.file = file;
            this.value = value;
        }

        String label() {
            return switch (this) {
                case NONE -> "";
                case REQUESTS -> value + " requests a second";
                case BYTES -> "100 MB/s";
            };
        }
    }

    private Throttle(Path group, Path former) {
        this.group = group;
        this.former = former;
    }

    /** Throttles reads from the device that a file lies on. */
    static Throttle of(Path file, Limit limit) throws IOException, Workbench.UnavailableException {
        if (!Files.isWritable(FIRST_VERSION.resolve("cgroup.procs"))) {
            throw new Workbench.UnavailableException("the blkio controller is not mounted at " + FIRST_VERSION
                    + ", or this is not root");
        }
        Path former = FIRST_VERSION;
        for (String line : Files.readAllLines(Path.of("/proc/self/cgroup"))) {
            List<String> parts = List.of(line.split(":", 3));
            if (parts.size() == 3 && parts.get(1).contains("blkio")) {
                former = FIRST_VERSION.resolve(Path.of("/").relativize(Path.of(parts.get(2))));
            }
        }
        Path group = Files.createDirectory(FIRST_VERSION.resolve("microsnap-" + ProcessHandle.current().pid()));
        Throttle throttle = new Throttle(group, former);
        try {
            long device = (Long) Files.getAttribute(file, "unix:dev");
            long major = (device >>> MAJOR_SHIFT) & MAJOR_MASK;
            long minor = (device & MINOR_LOW_MASK) | ((device >>> MINOR_HIGH_SHIFT) & ~MINOR_LOW_MASK);
            Files.writeString(group.resolve(limit.file), major + ":" + minor + " " + limit.value);
            move(group);
            return throttle;
        } catch (IOException | RuntimeException failure) {
            try (throttle) {
                throw failure;
            }
        }
    }

    private static void move(Path group) throws IOException {
        Files.writeString(group.resolve("cgroup.procs"), Long.toString(ProcessHandle.current().pid()));
    }

    @Override
    public void close() throws IOException {
        move(former);
        Files.delete(group);
    }
}
