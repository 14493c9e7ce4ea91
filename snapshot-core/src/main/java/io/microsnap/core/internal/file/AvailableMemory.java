package io.microsnap.core.internal.file;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;

/**
 * Tells how much memory this process may still take: what the system has, or what the limits of its control groups
 * leave, whichever is less. Page cache that the kernel would give back counts as available.
 */
public final class AvailableMemory {
    private static final long KIB = 1024;

    private final Path proc;
    private final Path groups;

    /**
     * Reads from these places.
     *
     * @param proc where {@code /proc} is
     * @param groups where control groups are mounted, {@code /sys/fs/cgroup}
     */
    public AvailableMemory(Path proc, Path groups) {
        this.proc = proc;
        this.groups = groups;
    }

    /** Reads the limits of this process on this machine. */
    public static AvailableMemory ofProcess() {
        return new AvailableMemory(Path.of("/proc"), Path.of("/sys/fs/cgroup"));
    }

    /** Returns the bytes that are available; empty where the system does not tell. */
    public OptionalLong bytes() {
        OptionalLong system = OptionalLong.empty();
        for (String line : lines(proc.resolve("meminfo"))) {
            if (line.startsWith("MemAvailable:")) {
                system = number(line.substring(line.indexOf(':') + 1).replace("kB", ""));
            }
        }
        if (system.isEmpty()) {
            return system;
        }
        long left = system.getAsLong() * KIB;
        for (String line : lines(proc.resolve("self").resolve("cgroup"))) {
            String[] parts = line.split(":", 3);
            if (parts.length == 3 && parts[1].isEmpty()) {
                left = Math.min(left, unified(groups, parts[2]));
                left = Math.min(left, unified(groups.resolve("unified"), parts[2]));
            } else if (parts.length == 3 && List.of(parts[1].split(",")).contains("memory")) {
                left = Math.min(left, ofMemoryController(groups.resolve("memory"), parts[2]));
            }
        }
        return OptionalLong.of(Math.max(0, left));
    }

    private static long unified(Path mount, String group) {
        return least(mount, group, "memory.max", "memory.current", "inactive_file ");
    }

    private static long ofMemoryController(Path mount, String group) {
        return least(mount, group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ");
    }

    /** Every parent group has a limit, too. In a container the path may lead outside of the mount. */
    private static long least(Path mount, String group, String limit, String usage, String reclaimable) {
        long least = Long.MAX_VALUE;
        Path relative = Path.of("/").relativize(Path.of("/").resolve(group).normalize());
        for (Path at = mount.resolve(relative).normalize(); at != null && at.startsWith(mount); at = at.getParent()) {
            OptionalLong most = first(at.resolve(limit));
            OptionalLong used = first(at.resolve(usage));
            if (most.isPresent() && used.isPresent()) {
                long cache = 0;
                for (String line : lines(at.resolve("memory.stat"))) {
                    if (line.startsWith(reclaimable)) {
                        cache = number(line.substring(reclaimable.length())).orElse(0);
                    }
                }
                least = Math.min(least, most.getAsLong() - Math.max(0, used.getAsLong() - cache));
            }
        }
        return least;
    }

    private static OptionalLong first(Path file) {
        List<String> lines = lines(file);
        return lines.isEmpty() ? OptionalLong.empty() : number(lines.getFirst());
    }

    /** Returns the number; empty for text such as {@code max}, which means no limit. */
    private static OptionalLong number(String text) {
        try {
            return OptionalLong.of(Long.parseLong(text.strip()));
        } catch (NumberFormatException none) {
            return OptionalLong.empty();
        }
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException absent) {
            return List.of();
        }
    }
}
