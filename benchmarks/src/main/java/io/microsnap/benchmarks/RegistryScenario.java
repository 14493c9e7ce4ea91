package io.microsnap.benchmarks;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.Capture;
import io.microsnap.memory.internal.reader.FileMemoryReader;
import io.microsnap.registry.Pull;
import io.microsnap.registry.Push;
import io.microsnap.registry.PushResult;
import io.microsnap.registry.RegistryOptions;
import io.microsnap.registry.RegistryReference;
import io.microsnap.registry.RemoteRepository;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.FileSystemKind;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * A guest of 1 GiB, 80 % of it zeros and the rest as compressible as a real guest's pages, to and from a registry on
 * loopback, beside what a shell does with zstd, sha256sum and curl.
 */
final class RegistryScenario implements Scenario {
    private static final Path SERVER = Path.of("/usr/bin/docker-registry");
    private static final int PAGE = 4096;
    private static final int RUN_PAGES = 64;
    private static final int ZERO_PERCENT = 80;
    private static final int TRANSFERS = 4;
    private static final SnapshotId ID = new SnapshotId("guest");

    private final boolean pushes;
    private final long bytes;

    RegistryScenario(boolean pushes, long bytes) {
        this.pushes = pushes;
        this.bytes = bytes;
    }

    static List<Scenario> all() {
        return List.of(new RegistryScenario(true, 1L << 30), new RegistryScenario(false, 1L << 30));
    }

    @Override
    public String name() {
        return "registry/" + (pushes ? "push" : "pull") + "/" + Sizes.name(bytes);
    }

    @Override
    public String question() {
        String guest = Unit.BYTES.text(bytes) + ", 80 % zeros";
        return pushes ? "pushing " + guest + ", beside zstd -T2 -1 | tee | sha256sum and curl"
                : "pulling " + guest + ", and syncing it, beside curl | tee >(sha256sum) | zstd -d and sync";
    }

    @Override
    public Target target() {
        return Target.speedAtLeast(pushes ? 0.8 : 0.7);
    }

    @Override
    public long workingSetBytes() {
        return 2 * bytes;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        if (!Files.isExecutable(SERVER)) {
            throw new Workbench.UnavailableException(SERVER + " is missing: apt-get install docker-registry");
        }
        Path directory = workbench.directory(FileSystemKind.XFS);
        Path served = Files.createDirectory(directory.resolve("served"));
        Server server = workbench.closeLater(new Server(served));
        DirectoryStore store = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), directory.resolve("store"), StoreOptions.PRIVATE));
        Path image = bake(directory, store);
        RegistryReference reference = RegistryReference.parse(server.host() + "/ours:guest");
        RemoteRepository remote = workbench.closeLater(
                RemoteRepository.open(reference.repository(), RegistryOptions.DEFAULTS));
        return pushes ? push(server, store, remote, reference, image, directory)
                : pull(workbench, server, store, remote, reference, image, directory);
    }

    private static Duel push(Server server, DirectoryStore store, RemoteRepository remote,
            RegistryReference reference, Path image, Path directory) {
        PushResult[] pushed = new PushResult[1];
        String script = "set -eu; zstd -q -T2 -1 -c '" + image + "' | tee '" + directory + "/blob' | sha256sum > '"
                + directory + "/sum'; digest=sha256:$(cut -c1-64 '" + directory + "/sum'); "
                + "at=$(curl -sS -D - -o /dev/null -X POST http://" + server.host() + "/v2/peer/blobs/uploads/"
                + " | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'); "
                + "curl -sSf -o /dev/null -T '" + directory + "/blob' \"$at&digest=$digest\"";
        return new Duel(
                Contestant.java(server::forget, () -> pushed[0] = Push.of(store, ID).threads(2).to(remote, reference)),
                Contestant.command(server::forget, "bash", "-c", script),
                () -> {
                    long theirs = Files.size(directory.resolve("blob"));
                    if (pushed[0].sentBytes() < theirs / 2 || pushed[0].sentBytes() > 2 * theirs) {
                        throw new IOException("we sent " + pushed[0].sentBytes() + " bytes, the peer " + theirs);
                    }
                });
    }

    private static Duel pull(Workbench workbench, Server server, DirectoryStore store, RemoteRepository remote,
            RegistryReference reference, Path image, Path directory) throws Exception {
        Push.of(store, ID).to(remote, reference);
        run("bash", "-c", "set -eu; zstd -q -T2 -1 -c '" + image + "' > '" + directory + "/blob'; digest=sha256:$("
                + "sha256sum < '" + directory + "/blob' | cut -c1-64); at=$(curl -sS -D - -o /dev/null -X POST http://"
                + server.host() + "/v2/peer/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'); "
                + "curl -sSf -o /dev/null -T '" + directory + "/blob' \"$at&digest=$digest\"; echo $digest > '"
                + directory + "/digest'");
        String digest = Files.readString(directory.resolve("digest")).strip();
        Path out = directory.resolve("peer.img");
        String script = "set -eu; curl -sSf http://" + server.host() + "/v2/peer/blobs/" + digest
                + " | tee >(sha256sum > '" + directory + "/sum') | zstd -q -d --sparse -o '" + out + "'; sync '" + out
                + "'; grep -q " + digest.substring("sha256:".length()) + " '" + directory + "/sum'";
        DirectoryStore to = workbench.closeLater(
                DirectoryStore.openOrCreate(Posix.host(), directory.resolve("to"), StoreOptions.PRIVATE));
        return new Duel(
                Contestant.java(() -> {
                    if (!to.list().isEmpty()) {
                        to.delete(ID);
                    }
                }, () -> Pull.of(to, ID).transfers(TRANSFERS).from(remote, reference)),
                Contestant.command(() -> Files.deleteIfExists(out), "bash", "-c", script),
                () -> {
                    if (Files.mismatch(out, directory.resolve("to/guest/memory.img")) >= 0) {
                        throw new IOException("not the same arrived");
                    }
                });
    }

    private Path bake(Path directory, DirectoryStore store) throws IOException {
        Path image = directory.resolve("guest.ram");
        SplittableRandom random = new SplittableRandom(1);
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(bytes);
            ByteBuffer run = ByteBuffer.allocate(RUN_PAGES * PAGE);
            for (long at = 0; at < bytes; at += run.capacity()) {
                if (random.nextInt(100) >= ZERO_PERCENT) {
                    fill(run, random);
                    file.getChannel().write(run.clear(), at);
                }
            }
        }
        Posix posix = Posix.host();
        try (Descriptor open = Descriptor.open(posix, image, posix.constants().O_RDONLY, 0)) {
            Capture.of(store, ID, FileMemoryReader.of(open, GuestLayout.ofSingleRegion(PAGE, bytes)))
                    .take(PausableMachine.pausedAlready(List.of()));
        }
        return image;
    }

    /** zstd makes half of it: as of a real guest's pages. */
    private static void fill(ByteBuffer run, SplittableRandom random) {
        run.clear();
        while (run.hasRemaining()) {
            for (int word = 0; word < 4; word++) {
                run.putLong(random.nextLong());
            }
            for (int word = 0; word < 4; word++) {
                run.putLong(0x0101010101010101L * (run.position() >> 12));
            }
        }
    }

    private static void run(String... command) throws IOException, InterruptedException {
        int status = new ProcessBuilder(command).redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.INHERIT).start().waitFor();
        if (status != 0) {
            throw new IOException(String.join(" ", command) + " ended with " + status);
        }
    }

    /** A registry server of the scenario's own. */
    private static final class Server implements AutoCloseable {
        private final Process process;
        private final Path storage;
        private final String host;

        Server(Path directory) throws IOException {
            storage = directory.resolve("data");
            Path config = Files.writeString(directory.resolve("config.yml"), "version: 0.1\nlog:\n  level: info\n"
                    + "  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: " + storage
                    + "\nhttp:\n  addr: 127.0.0.1:0\n  secret: benchmark\n");
            process = Tethered.start(SERVER.toString(), "serve", config.toString());
            BufferedReader said = process.inputReader();
            String found = "";
            // No line may follow the one that names the port.
            while (found.isEmpty()) {
                String line = said.readLine();
                if (line == null) {
                    throw new IOException("the registry did not start");
                }
                if (line.contains("listening on ")) {
                    found = line.replaceFirst(".*listening on (127\\.0\\.0\\.1:\\d+).*", "$1");
                }
            }
            host = found;
            Thread.ofVirtual().start(() -> said.lines().forEach(line -> { }));
        }

        String host() {
            return host;
        }

        /** Loses all that it was given. */
        void forget() throws IOException {
            if (Files.exists(storage)) {
                try (Stream<Path> all = Files.walk(storage)) {
                    for (Path path : all.sorted((left, right) -> right.compareTo(left)).toList()) {
                        Files.delete(path);
                    }
                }
            }
        }

        @Override
        public void close() throws IOException {
            Tethered.end(process);
        }
    }
}
