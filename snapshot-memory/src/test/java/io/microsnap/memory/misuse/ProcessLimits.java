package io.microsnap.memory.misuse;

import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.management.JMException;
import javax.management.ObjectName;

/** What this process has open and mapped, and how much it may map. */
public final class ProcessLimits {
    private ProcessLimits() {
    }

    /** How many mappings this process has. */
    public static long mappings() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
            return lines.count();
        }
    }

    /** How many it may have: {@code vm.max_map_count}. */
    public static long mostMappings() throws IOException {
        // The kernel tells it to the first read alone, and Files.readString begins with a single byte.
        byte[] text = new byte[32];
        try (InputStream limit = Files.newInputStream(Path.of("/proc/sys/vm/max_map_count"))) {
            int length = limit.read(text);
            return Long.parseLong(new String(text, 0, length, StandardCharsets.US_ASCII).strip());
        }
    }

    /** How many descriptors it has open, those of jars aside, which the JVM opens when it first needs them. */
    public static long descriptors() throws IOException {
        List<Path> open;
        try (Stream<Path> listed = Files.list(Path.of("/proc/self/fd"))) {
            open = listed.toList();
        }
        long count = 0;
        for (Path descriptor : open) {
            try {
                if (!Files.readSymbolicLink(descriptor).toString().endsWith(".jar")) {
                    count++;
                }
            } catch (NoSuchFileException listing) {
                // It was the list's own.
            }
        }
        return count;
    }

    /**
     * What Java code has allocated off the heap and not freed. The JVM must run with
     * {@code -XX:NativeMemoryTracking=summary}.
     */
    public static long offHeapBytes() throws IOException {
        try {
            String summary = (String) ManagementFactory.getPlatformMBeanServer().invoke(
                    new ObjectName("com.sun.management:type=DiagnosticCommand"), "vmNativeMemory",
                    new Object[] {new String[] {"summary", "scale=1"}}, new String[] {String[].class.getName()});
            Matcher other = Pattern.compile("Other \\(reserved=(\\d+)").matcher(summary);
            if (!other.find()) {
                throw new IOException("no such figure in: " + summary);
            }
            return Long.parseLong(other.group(1));
        } catch (JMException failure) {
            throw new IOException(failure);
        }
    }
}
