package io.microsnap.store.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.testsupport.Checkout;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Damaged manifests, maps and indexes are refused or, where the damage does not matter, read; nothing else happens. */
class MutationTest {
    private static final String HEAP = "-Xmx64m";

    @TempDir
    Path directory;

    @Test
    void mutationsAreReadOrRefusedInASmallHeap(ChildProcesses children, Seed seed) {
        int rounds = Effort.choose(10_000, 20_000, 1_000_000);
        ChildProcess child = children.start(new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), HEAP, "@" + Checkout.jvmOptions(),
                "-cp", System.getProperty("java.class.path"), Mutations.class.getName(), directory.toString(),
                Long.toString(seed.value()), Integer.toString(rounds)));
        ChildProcess.Exit exit = child.awaitExit();
        assertThat(exit.status()).as(exit.errors()).isZero();
        assertThat(exit.output()).contains("mutations: " + rounds).contains("heap: 64 MiB");
    }

    /** What runs in the small heap. */
    static final class Mutations {
        private final Path directory;
        private final SplittableRandom random;
        private int refused;

        private Mutations(Path directory, SplittableRandom random) {
            this.directory = directory;
            this.random = random;
        }

        public static void main(String[] arguments) throws IOException {
            Mutations mutations = new Mutations(
                    Path.of(arguments[0]), new SplittableRandom(Long.parseLong(arguments[1])));
            int rounds = Integer.parseInt(arguments[2]);
            mutations.run(rounds);
            System.out.println("mutations: " + rounds + ", refused: " + mutations.refused);
            System.out.println("heap: " + (Runtime.getRuntime().maxMemory() >> 20) + " MiB");
        }

        private void run(int rounds) throws IOException {
            Posix posix = Posix.host();
            int create = posix.constants().O_RDWR | posix.constants().O_CREAT;
            byte[] manifest = ManifestTest.SAMPLE.toJson();
            try (Descriptor mapFile = Descriptor.open(posix, directory.resolve("map"), create, 0600);
                    Descriptor indexFile = Descriptor.open(posix, directory.resolve("idx"), create, 0600)) {
                byte[] map = written(mapFile, true);
                byte[] index = written(indexFile, false);
                // Here no checksum keeps mutations from the parser.
                byte[] firstFormat = ManifestTest.firstFormat(manifest);
                for (int round = 0; round < rounds; round++) {
                    switch (round % 4) {
                        case 0 -> read(indexFile, mutated(index), false);
                        case 1 -> read(mapFile, mutated(map), true);
                        case 2 -> parse(mutated(firstFormat));
                        default -> parse(mutated(manifest));
                    }
                }
            }
            if (refused < rounds / 2) {
                throw new IllegalStateException("only " + refused + " of " + rounds + " were refused");
            }
        }

        private void parse(byte[] json) {
            try {
                StoredManifest parsed = StoredManifest.parse("mutated", json);
                if (!Arrays.equals(parsed.toJson(), StoredManifest.parse("again", parsed.toJson()).toJson())) {
                    throw new IllegalStateException("not read back: " + new String(json, StandardCharsets.UTF_8));
                }
            } catch (SnapshotException expected) {
                refused++;
            } catch (RuntimeException e) {
                throw new IllegalStateException(new String(json, StandardCharsets.UTF_8), e);
            }
        }

        private void read(Descriptor file, byte[] bytes, boolean map) throws IOException {
            file.truncate(bytes.length);
            if (bytes.length > 0) {
                try (Arena buffer = Arena.ofConfined()) {
                    file.writeFully(buffer.allocateFrom(ValueLayout.JAVA_BYTE, bytes), 0);
                }
            }
            try {
                if (map) {
                    try (PageMap opened = PageMap.open(file, Snapshots.LAYOUT)) {
                        opened.verify();
                    }
                } else {
                    try (PageIndex opened = PageIndex.open(file, Snapshots.LAYOUT)) {
                        opened.verify();
                    }
                }
            } catch (DamagedException expected) {
                refused++;
            }
        }

        private byte[] written(Descriptor file, boolean map) throws IOException {
            if (map) {
                try (PageMap made = PageMap.create(file, Snapshots.LAYOUT)) {
                    made.mark(3, 9);
                    made.finish();
                }
            } else {
                try (PageIndex made = PageIndex.create(file, Snapshots.LAYOUT)) {
                    for (int page = 0; page < Snapshots.PAGES; page++) {
                        made.set(page, random.nextInt());
                    }
                    made.finish();
                }
            }
            return Files.readAllBytes(Path.of(file.name()));
        }

        /** One to three changes: bits, bytes, pieces cut out, doubled, swapped in from elsewhere. */
        private byte[] mutated(byte[] valid) {
            byte[] bytes = valid.clone();
            for (int change = random.nextInt(1, 4); change > 0 && bytes.length > 0; change--) {
                int at = random.nextInt(3) == 0 ? random.nextInt(Math.min(64, bytes.length))
                        : random.nextInt(bytes.length);
                int length = random.nextInt(1, Math.min(64, bytes.length - at) + 1);
                switch (random.nextInt(7)) {
                    case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                    case 1 -> bytes[at] = (byte) random.nextInt();
                    case 2 -> bytes[at] = (byte) "{}[]\",:0-.e\\u\u0000".charAt(random.nextInt(13));
                    case 3 -> bytes = Arrays.copyOf(bytes, at);
                    case 4 -> {
                        byte[] cut = Arrays.copyOf(bytes, bytes.length - length);
                        System.arraycopy(bytes, at + length, cut, at, bytes.length - at - length);
                        bytes = cut;
                    }
                    case 5 -> {
                        byte[] doubled = Arrays.copyOf(bytes, bytes.length + length);
                        System.arraycopy(bytes, at, doubled, at + length, bytes.length - at);
                        bytes = doubled;
                    }
                    default -> System.arraycopy(valid, random.nextInt(valid.length - length + 1), bytes, at, length);
                }
            }
            return bytes;
        }
    }
}
