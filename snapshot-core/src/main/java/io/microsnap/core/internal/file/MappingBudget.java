package io.microsnap.core.internal.file;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.OperatingSystem;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.function.LongSupplier;

/**
 * Divides the mappings that Linux allows this process ({@code vm.max_map_count}) between its restores. A JVM that
 * cannot make another mapping dies, so an eighth of them is never given out.
 *
 * <p>Counting a process's mappings takes milliseconds. The budget counts those of restores itself and asks the kernel
 * for all others, at most once a second. Where the kernel does not answer, the budget gives out nothing.
 *
 * <p>There is one budget for the process, because there is one limit: this is static mutable state, and one of its few
 * exceptions.
 */
public final class MappingBudget {
    private static final MappingBudget OF_PROCESS = new MappingBudget(new Proc(Posix.host()), System::nanoTime);
    private static final long NANOS_BETWEEN_COUNTS = 1_000_000_000L;
    /** One part in this many stays for the JVM, and one restore may take one part in this many of the rest. */
    private static final int PART = 8;

    private final Kernel kernel;
    private final LongSupplier nanoTime;
    private boolean counted;
    private long countedAtNanos;
    /** The most mappings that may exist, those outside of restores included. */
    private long usable;
    private long others;
    private long taken;
    /** The taken mappings that certainly exist, so that the kernel's count includes them. */
    private long laid;

    /** The kernel's numbers for this process. */
    interface Kernel {
        /** Returns how many mappings there are. */
        long mappings() throws IOException;

        /** Returns how many there may be. */
        long most() throws IOException;
    }

    MappingBudget(Kernel kernel, LongSupplier nanoTime) {
        this.kernel = kernel;
        this.nanoTime = nanoTime;
    }

    /** Returns the budget of this process. */
    public static MappingBudget ofProcess() {
        return OF_PROCESS;
    }

    Kernel kernel() {
        return kernel;
    }

    /** Takes as many mappings as asked, but no more than an eighth of those left, and perhaps none. */
    public synchronized Share take(long atMost) {
        if (atMost > 0) {
            count();
        }
        long left = Math.max(0, usable - others - taken);
        Share share = new Share(Math.min(atMost, left / PART));
        taken += share.count;
        return share;
    }

    private void count() {
        long now = nanoTime.getAsLong();
        if (counted && now - countedAtNanos < NANOS_BETWEEN_COUNTS) {
            return;
        }
        counted = true;
        countedAtNanos = now;
        try {
            long most = kernel.most();
            usable = most - most / PART;
            // Mappings that are taken but not yet marked as laid may be in the kernel's count; they then count twice
            // for a second, which is safe.
            others = Math.max(0, kernel.mappings() - laid);
        } catch (IOException untold) {
            usable = 0;
        }
    }

    /** The mappings that one restore may have, until it returns them. */
    public final class Share implements AutoCloseable {
        private long count;
        private boolean isLaid;

        private Share(long count) {
            this.count = count;
        }

        /** Returns how many mappings these are. */
        public long count() {
            return count;
        }

        /** Records that the mappings exist now, and returns those that were not needed. */
        public void laid(long needed) {
            synchronized (MappingBudget.this) {
                taken -= count - needed;
                count = needed;
                laid += needed;
                isLaid = true;
            }
        }

        /** Records that the mappings are about to go: they count until the share is closed. */
        void leaving() {
            synchronized (MappingBudget.this) {
                if (isLaid) {
                    isLaid = false;
                    laid -= count;
                }
            }
        }

        /** Returns the mappings to the budget; they must be gone. A second call does nothing. */
        @Override
        public void close() {
            synchronized (MappingBudget.this) {
                leaving();
                taken -= count;
                count = 0;
            }
        }
    }

    /** Linux tells both in {@code /proc}; macOS has no such limit. */
    private record Proc(Posix posix) implements Kernel {
        private static final int BUFFER_BYTES = 1 << 16;
        private static final int LONGEST_NUMBER = 32;

        @Override
        public long mappings() throws IOException {
            if (posix.constants().operatingSystem() != OperatingSystem.LINUX) {
                return 0;
            }
            try (Descriptor maps = open("/proc/self/maps"); Arena arena = Arena.ofConfined()) {
                MemorySegment buffer = arena.allocate(BUFFER_BYTES);
                long lines = 0;
                long offset = 0;
                for (long length = -1; length != 0; offset += length) {
                    length = maps.read(buffer, offset);
                    for (long index = 0; index < length; index++) {
                        lines += buffer.get(ValueLayout.JAVA_BYTE, index) == '\n' ? 1 : 0;
                    }
                }
                return lines;
            }
        }

        @Override
        public long most() throws IOException {
            Constants constants = posix.constants();
            if (constants.operatingSystem() != OperatingSystem.LINUX) {
                return Long.MAX_VALUE;
            }
            try (Descriptor file = open("/proc/sys/vm/max_map_count"); Arena arena = Arena.ofConfined()) {
                MemorySegment buffer = arena.allocate(LONGEST_NUMBER);
                byte[] text = buffer.asSlice(0, file.read(buffer, 0)).toArray(ValueLayout.JAVA_BYTE);
                return Long.parseLong(new String(text, StandardCharsets.US_ASCII).strip());
            } catch (NumberFormatException odd) {
                throw new IOException(odd);
            }
        }

        private Descriptor open(String path) throws IOException {
            return Descriptor.open(posix, Path.of(path), posix.constants().O_RDONLY, 0);
        }
    }
}
