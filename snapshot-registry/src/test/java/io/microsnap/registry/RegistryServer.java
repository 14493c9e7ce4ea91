package io.microsnap.registry;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** A real registry server on this machine's loopback, on a port of its own, gone with the test. */
final class RegistryServer {
    private static final Path PROGRAM = Path.of("/usr/bin/docker-registry");

    private final ChildProcess process;
    private final Path storage;
    private final String host;

    private RegistryServer(ChildProcess process, Path storage, String host) {
        this.process = process;
        this.storage = storage;
        this.host = host;
    }

    /** Open to everybody, without TLS. */
    static RegistryServer start(ChildProcesses processes, Path directory) throws IOException {
        return start(processes, directory, "", "");
    }

    /** Asks for the users of a file made by {@code htpasswd}. */
    static RegistryServer withPasswords(ChildProcesses processes, Path directory, Path passwords) throws IOException {
        return start(processes, directory, "", "auth:\n  htpasswd:\n    realm: test\n    path: " + passwords + "\n");
    }

    /** Speaks TLS. */
    static RegistryServer withTls(ChildProcesses processes, Path directory, Path certificate, Path key)
            throws IOException {
        return start(processes, directory, "  tls:\n    certificate: " + certificate + "\n    key: " + key + "\n", "");
    }

    private static RegistryServer start(ChildProcesses processes, Path directory, String http, String rest)
            throws IOException {
        requireTool(PROGRAM, "docker-registry");
        Path storage = Files.createTempDirectory(directory, "registry-");
        Path config = Files.writeString(storage.resolve("config.yml"), "version: 0.1\nlog:\n  level: info\n"
                + "  accesslog:\n    disabled: true\nstorage:\n  delete:\n    enabled: true\n  filesystem:\n"
                + "    rootdirectory: " + storage.resolve("data") + "\nhttp:\n  addr: 127.0.0.1:0\n  secret: test\n"
                + http + rest);
        ChildProcess process = processes.start(new ProcessBuilder(PROGRAM.toString(), "serve", config.toString())
                .redirectErrorStream(true));
        String line = process.awaitLine("listening on 127.0.0.1:");
        String host = line.replaceFirst(".*listening on (127\\.0\\.0\\.1:\\d+).*", "$1");
        return new RegistryServer(process, storage, host);
    }

    /** Skips the test where a program is missing, and says how to get it. */
    static void requireTool(Path program, String debianPackage) {
        assumeTrue(Files.isExecutable(program), program + " is missing; to enable: apt-get install " + debianPackage);
    }

    String host() {
        return host;
    }

    RepositoryName repository(String path) {
        return new RepositoryName(host, path);
    }

    RegistryReference reference(String path, String tag) {
        return RegistryReference.parse(host + "/" + path + ":" + tag);
    }

    void kill() {
        process.kill();
    }

    /** Where a blob lies. */
    Path blob(String digest) {
        String hex = digest.substring("sha256:".length());
        return storage.resolve("data/docker/registry/v2/blobs/sha256").resolve(hex.substring(0, 2)).resolve(hex)
                .resolve("data");
    }

    /** How many bytes all blobs have. */
    long storedBytes() throws IOException {
        try (Stream<Path> files = Files.walk(storage.resolve("data/docker/registry/v2/blobs"))) {
            return files.filter(file -> file.endsWith("data")).mapToLong(file -> file.toFile().length()).sum();
        }
    }

    /** Takes a blob out of a repository and away, as the registry's own collection of garbage would. */
    void collect(String repository, String digest) throws IOException {
        String hex = digest.substring("sha256:".length());
        Files.delete(blob(digest));
        Files.delete(storage.resolve("data/docker/registry/v2/repositories").resolve(repository)
                .resolve("_layers/sha256").resolve(hex).resolve("link"));
    }
}
