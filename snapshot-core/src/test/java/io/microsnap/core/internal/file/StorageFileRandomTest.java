package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.IoMode;
import io.microsnap.core.internal.file.StorageOptions.Existing;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.core.testing.StandInMac;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.LoopDevice;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Storage against a model in memory: random operations, alone and in four threads, and a fault at every call. */
class StorageFileRandomTest {
    private static final Posix HOST = Posix.host();
    private static final int STRIPE = 300_001;
    private static final int THREADS = 4;
    private static final int LARGEST = 40_000;

    @RealFileSystems
    void anyOrderOfOperationsReadsAsTheModel(Path directory, FileSystemKind kind, Seed seed) throws Exception {
        int operations = Effort.choose(60, 120, 10_000);
        for (IoMode mode : IoMode.values()) {
            runAlone(HOST, directory.resolve("alone-" + mode), mode, operations, seed.random());
            runDisjoint(directory.resolve("disjoint-" + mode), mode, operations, seed.random());
            runOverlapping(directory.resolve("overlapping-" + mode), mode, operations / 20, seed.random());
        }
    }

    @Test
    void anyOrderOfOperationsOnADeviceReadsAsTheModel(@LoopDevice(sizeMiB = 16) Path device, Seed seed)
            throws Exception {
        int operations = Effort.choose(60, 120, 10_000);
        for (IoMode mode : IoMode.values()) {
            runAlone(HOST, device, mode, operations, seed.random());
            runDisjoint(device, mode, operations, seed.random());
            runOverlapping(device, mode, operations / 20, seed.random());
        }
    }

    @RealFileSystems
    @Tag("long")
    void tenThousandOperationsReadAsTheModel(Path directory, Seed seed) throws Exception {
        for (IoMode mode : IoMode.values()) {
            runAlone(HOST, directory.resolve("alone-" + mode), mode, 10_000, seed.random());
            runDisjoint(directory.resolve("disjoint-" + mode), mode, 10_000, seed.random());
            runOverlapping(directory.resolve("overlapping-" + mode), mode, 2_000, seed.random());
        }
    }

    @RealFileSystems(FileSystemKind.XFS)
    void anyOrderOfOperationsOnMacosReadsAsTheModel(Path directory, Seed seed) throws Exception {
        for (IoMode mode : IoMode.values()) {
            runAlone(StandInMac.host(), directory.resolve("file-" + mode), mode, 150, seed.random());
        }
    }

    private static StorageFile open(Posix posix, Path path, IoMode mode) throws IOException {
        return StorageFile.open(posix, path, StorageOptions.WRITE.with(mode).with(Existing.OVERWRITTEN));
    }

    private static void runAlone(Posix posix, Path path, IoMode mode, int operations, SplittableRandom random)
            throws IOException {
        try (StorageFile storage = open(posix, path, mode)) {
            Model model = new Model(storage, 0, THREADS * STRIPE, random);
            for (int operation = 0; operation < operations; operation++) {
                model.step(true);
            }
            model.requireEqual(0, model.length, "at the end");
        }
    }

    /** Each thread has a stripe of its own; stripes end anywhere within blocks. */
    private static void runDisjoint(Path path, IoMode mode, int operations, SplittableRandom random) throws Exception {
        try (StorageFile storage = open(HOST, path, mode)) {
            if (!storage.isDevice()) {
                storage.resize((long) THREADS * STRIPE, Preallocation.NONE);
            }
            List<Callable<Void>> threads = new ArrayList<>();
            List<Model> models = new ArrayList<>();
            for (int thread = 0; thread < THREADS; thread++) {
                Model model = new Model(storage, (long) thread * STRIPE, STRIPE, random.split());
                models.add(model);
                threads.add(() -> {
                    for (int operation = 0; operation < operations / THREADS; operation++) {
                        model.step(false);
                    }
                    return null;
                });
            }
            together(threads);
            for (Model model : models) {
                model.requireEqual(0, STRIPE, "when all had ended");
            }
        }
    }

    /** Four writes that overlap leave what they leave one after another, in some order. */
    private static void runOverlapping(Path path, IoMode mode, int rounds, SplittableRandom random) throws Exception {
        int length = 5 * 4096;
        try (StorageFile storage = open(HOST, path, mode); Arena arena = Arena.ofShared()) {
            for (int round = 0; round < rounds; round++) {
                storage.write(arena.allocate(length), 0);
                int[] from = new int[THREADS];
                int[] to = new int[THREADS];
                List<Callable<Void>> threads = new ArrayList<>();
                for (int thread = 0; thread < THREADS; thread++) {
                    from[thread] = random.nextInt(length - 1);
                    to[thread] = random.nextInt(from[thread] + 1, length + 1);
                    int own = thread;
                    MemorySegment content = arena.allocate(to[own] - from[own]).fill((byte) (own + 1));
                    threads.add(() -> {
                        if (own == 3) {
                            storage.writeZeroes(from[own], content.byteSize());
                        } else {
                            storage.write(split(content, 3000), from[own]);
                        }
                        return null;
                    });
                }
                together(threads);
                MemorySegment outcome = arena.allocate(length);
                storage.read(outcome, 0);
                assertThat(orders()).as("ranges %s to %s gave what no order gives", Arrays.toString(from),
                        Arrays.toString(to)).anyMatch(order -> gives(order, from, to, outcome));
            }
        }
    }

    private static boolean gives(int[] order, int[] from, int[] to, MemorySegment outcome) {
        byte[] expected = new byte[(int) outcome.byteSize()];
        for (int thread : order) {
            Arrays.fill(expected, from[thread], to[thread], (byte) (thread == 3 ? 0 : thread + 1));
        }
        return outcome.mismatch(MemorySegment.ofArray(expected)) == -1;
    }

    private static List<int[]> orders() {
        List<int[]> orders = new ArrayList<>();
        for (int code = 0; code < 256; code++) {
            int[] order = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6};
            if (Arrays.stream(order).distinct().count() == THREADS) {
                orders.add(order);
            }
        }
        return orders;
    }

    private static void together(List<Callable<Void>> threads) throws Exception {
        try (ExecutorService pool = Executors.newFixedThreadPool(THREADS)) {
            for (Future<Void> done : pool.invokeAll(threads)) {
                done.get();
            }
        }
    }

    private static List<MemorySegment> split(MemorySegment whole, int size) {
        List<MemorySegment> parts = new ArrayList<>();
        for (long at = 0; at < whole.byteSize(); at += size) {
            parts.add(whole.asSlice(at, Math.min(size, whole.byteSize() - at)));
        }
        return parts;
    }

    /** What a part of the storage holds, as far as it is known, and random steps that keep both alike. */
    private static final class Model {
        private final StorageFile storage;
        private final long base;
        private final byte[] content;
        private final SplittableRandom random;
        private final Arena arena = Arena.ofAuto();
        private final MemorySegment buffer = arena.allocate(2 * LARGEST, 4096);
        private int length;

        Model(StorageFile storage, long base, int mostBytes, SplittableRandom random) throws IOException {
            this.storage = storage;
            this.base = base;
            this.random = random;
            content = new byte[mostBytes];
            length = storage.isDevice() ? mostBytes : (int) Math.min(mostBytes, storage.sizeBytes() - base);
            if (storage.isDevice()) {
                for (int at = 0; at < mostBytes; at += LARGEST) {
                    learn(at, Math.min(LARGEST, mostBytes - at));
                }
            }
        }

        void step(boolean resizes) throws IOException {
            // Half of the places are aligned, so that both ways are taken.
            boolean aligned = random.nextBoolean();
            int bytes = random.nextInt(1, LARGEST);
            int offset = random.nextInt(content.length - bytes);
            if (aligned) {
                offset &= -4096;
                bytes = Math.max(4096, bytes & -4096);
            }
            bytes = Math.min(bytes, content.length - offset);
            switch (random.nextInt(resizes && !storage.isDevice() ? 12 : 10)) {
                case 0, 1, 2 -> requireEqual(offset, bytes, "read");
                case 3, 4, 5, 6 -> write(offset, bytes);
                case 7 -> {
                    storage.writeZeroes(base + offset, bytes);
                    zero(offset, bytes);
                }
                case 8 -> {
                    storage.writeAllocatedZeroes(base + offset, bytes);
                    zero(offset, bytes);
                }
                case 9 -> {
                    storage.discard(base + offset, bytes);
                    learn(offset, bytes);
                }
                default -> resize(random.nextInt(content.length + 1));
            }
            if (resizes && !storage.isDevice()) {
                assertThat(storage.sizeBytes()).isEqualTo(length);
            }
        }

        private void write(int offset, int bytes) throws IOException {
            byte[] fresh = new byte[bytes];
            for (int at = 0; at < bytes; at++) {
                fresh[at] = (byte) random.nextInt(1, 256);
            }
            // Memory that starts anywhere, in one piece or in some.
            MemorySegment memory = buffer.asSlice(random.nextBoolean() ? 0 : random.nextInt(4096), bytes)
                    .copyFrom(MemorySegment.ofArray(fresh));
            if (random.nextBoolean()) {
                storage.write(memory, base + offset);
            } else {
                storage.write(split(memory, random.nextInt(500, 9000)), base + offset);
            }
            System.arraycopy(fresh, 0, content, offset, bytes);
            length = Math.max(length, offset + bytes);
        }

        private void zero(int offset, int bytes) {
            Arrays.fill(content, offset, offset + bytes, (byte) 0);
            length = Math.max(length, offset + bytes);
        }

        private void resize(int to) throws IOException {
            Preallocation[] kinds = Preallocation.values();
            storage.resize(to, kinds[random.nextInt(kinds.length)]);
            if (to < length) {
                Arrays.fill(content, to, length, (byte) 0);
            }
            length = to;
        }

        /** After a discard: any content will do, as long as nothing outside changed. */
        private void learn(int offset, int bytes) throws IOException {
            MemorySegment read = buffer.asSlice(0, bytes);
            storage.read(read, base + offset);
            MemorySegment.copy(read, ValueLayout.JAVA_BYTE, 0, content, offset, bytes);
        }

        void requireEqual(int offset, int bytes, String when) throws IOException {
            for (int at = offset; at < offset + bytes;) {
                int piece = Math.min(LARGEST, offset + bytes - at);
                MemorySegment read = buffer.asSlice(random.nextInt(2), piece);
                storage.read(random.nextBoolean() ? List.of(read) : split(read, 4096), base + at);
                long different = read.mismatch(MemorySegment.ofArray(content).asSlice(at, piece));
                assertThat(different).as("%s: %d bytes at %d of %s", when, piece, base + at, storage).isEqualTo(-1);
                at += piece;
            }
        }
    }

    private enum FaultKind {
        EIO, ENOSPC, EINTR, SHORT, ZERO
    }

    /** What the sweep does: each kind of request, aligned and not, on a file that has bytes all around. */
    private static void operate(StorageFile storage, Arena arena) throws IOException {
        MemorySegment memory = arena.allocate(100_000, 4096).fill((byte) 7);
        storage.write(split(memory.asSlice(0, 10_000), 3000), 20_100);
        storage.write(memory.asSlice(0, 8192), 40_960);
        storage.read(memory.asSlice(1, 5000), 20_000);
        storage.writeZeroes(60_001, 5000);
        storage.writeAllocatedZeroes(70_001, 5000);
        storage.discard(80_000, 9000);
        storage.resize(120_000, Preallocation.ALLOCATE);
        storage.write(memory.asSlice(0, 5000), 119_000);
        storage.resize(123_000, Preallocation.NONE);
        storage.sync();
    }

    @RealFileSystems({FileSystemKind.XFS, FileSystemKind.EXT4})
    void aFaultAtAnyCallChangesNothingBeyondTheRangeAndLeaksNothing(Path directory) throws IOException {
        for (IoMode mode : List.of(IoMode.CACHED, IoMode.DIRECT)) {
            Path file = directory.resolve("file-" + mode);
            byte[] expected = outcome(file, mode);
            int calls = swept(FaultyPosix.host(), file, mode).calls();
            for (int position = 1; position <= calls; position++) {
                for (FaultKind kind : FaultKind.values()) {
                    failOnce(file, mode, kind, position, expected);
                }
            }
        }
    }

    private static FaultyPosix swept(FaultyPosix posix, Path file, IoMode mode) throws IOException {
        prepare(file);
        try (StorageFile storage = StorageFile.open(posix.posix(), file, StorageOptions.WRITE.with(mode));
                Arena arena = Arena.ofConfined()) {
            operate(storage, arena);
        }
        return posix;
    }

    private static byte[] outcome(Path file, IoMode mode) throws IOException {
        swept(FaultyPosix.host(), file, mode);
        return Files.readAllBytes(file);
    }

    private static void prepare(Path file) throws IOException {
        Files.write(file, SparseFiles.bytes(100_001, 4));
    }

    private static void failOnce(Path file, IoMode mode, FaultKind kind, int position, byte[] expected)
            throws IOException {
        FaultyPosix.Fault fault = FaultyPosix.host().at(position);
        FaultyPosix faulty = switch (kind) {
            case EIO -> fault.fails(Errno.EIO);
            case ENOSPC -> fault.fails(Errno.ENOSPC);
            case EINTR -> fault.isInterrupted();
            case SHORT -> fault.fallsShort();
            case ZERO -> fault.transfersNothing();
        };
        List<String> names = new ArrayList<>();
        faulty.before(call -> names.add(call.name()));
        IOException failure = null;
        try {
            swept(faulty, file, mode);
        } catch (IOException failed) {
            failure = failed;
        }
        String where = mode + ", " + kind + " at call " + position + " (" + names.get(position - 1) + "): " + failure;
        assertThat(faulty.openDescriptors()).as("%s: left open", where).isEmpty();
        byte[] left = Files.readAllBytes(file);
        if (failure == null) {
            assertThat(Arrays.equals(left, expected)).as("%s: as without it", where).isTrue();
        } else {
            assertThat(failure.getMessage()).as(where).contains("file-" + mode);
            requireUntouchedElsewhere(left, where);
        }
        if (kind == FaultKind.EINTR || kind == FaultKind.SHORT) {
            assertThat(failure).as("%s: is no reason to fail", where).isNull();
        }
    }

    private static void requireUntouchedElsewhere(byte[] left, String where) {
        byte[] before = SparseFiles.bytes(100_001, 4);
        int[][] untouched = {{0, 20_100}, {30_100, 40_960}, {49_152, 60_001}, {65_001, 70_001}, {75_001, 80_000},
            {89_000, 100_001}};
        for (int[] range : untouched) {
            assertThat(Arrays.equals(left, range[0], range[1], before, range[0], range[1]))
                    .as("%s: %d to %d", where, range[0], range[1]).isTrue();
        }
        assertThat(left.length).as("%s: length", where).isBetween(100_001, 124_000);
    }
}
