package io.microsnap.registry;

import static io.microsnap.registry.Guests.changed;
import static io.microsnap.registry.Guests.guest;
import static io.microsnap.registry.Guests.id;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.KeyStore;
import java.util.Base64;
import java.util.SplittableRandom;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Real servers with passwords and with TLS, and real tools that copy and sign what we pushed. */
class RealServersTest {
    private static final Path HTPASSWD = Path.of("/usr/bin/htpasswd");
    private static final Path OPENSSL = Path.of("/usr/bin/openssl");
    private static final Path SKOPEO = Path.of("/usr/bin/skopeo");
    private static final Path GPG = Path.of("/usr/bin/gpg");

    @TempDir
    private Path directory;
    private DirectoryStore from;
    private DirectoryStore to;
    private byte[] guest;

    @BeforeEach
    void bake(Seed seed) throws IOException {
        from = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("from"), StoreOptions.PRIVATE);
        to = DirectoryStore.openOrCreate(Posix.host(), directory.resolve("to"), StoreOptions.PRIVATE);
        SplittableRandom random = seed.random();
        byte[] base = guest(400, 40, random);
        guest = changed(base, 10, random);
        Guests.full(from, "base", base);
        Guests.diff(from, "web", "base", guest);
    }

    @AfterEach
    void close() {
        from.close();
        to.close();
    }

    private void pushAndPull(RegistryReference reference, RegistryOptions options) throws IOException {
        try (RemoteRepository remote = RemoteRepository.open(reference.repository(), options)) {
            Push.of(from, id("web")).to(remote, reference);
            Pull.of(to, id("web")).from(remote, reference);
        }
        Guests.requireWhole(to, "web", guest);
    }

    private static String run(ChildProcesses processes, String... command) {
        ChildProcess.Exit exit = processes.command(command).awaitExit();
        assertThat(exit.status()).as(String.join(" ", command) + "\n" + exit.errors()).isZero();
        return exit.output();
    }

    @Test
    void aServerThatAsksForPasswordsGetsTheRightOne(ChildProcesses processes) throws IOException {
        RegistryServer.requireTool(HTPASSWD, "apache2-utils");
        Path passwords = directory.resolve("htpasswd");
        run(processes, HTPASSWD.toString(), "-Bbc", passwords.toString(), "baker", "s3cret");
        RegistryServer server = RegistryServer.withPasswords(processes, directory, passwords);
        RegistryReference reference = server.reference("guests", "web");
        RegistryOptions wrong = RegistryOptions.DEFAULTS.withConfigFile(config(server, "baker:wr0ng"));
        assertThatThrownBy(() -> pushAndPull(reference, wrong)).isInstanceOf(SnapshotException.class)
                .hasMessageContaining("refuses the credentials").hasMessageContaining("user baker")
                .hasMessageNotContaining("wr0ng");
        RegistryOptions none = RegistryOptions.DEFAULTS.withConfigFile(
                Files.writeString(directory.resolve("none.json"), "{}"));
        assertThatThrownBy(() -> pushAndPull(reference, none)).hasMessageContaining("demands a user and a password");
        pushAndPull(reference, RegistryOptions.DEFAULTS.withConfigFile(config(server, "baker:s3cret")));
    }

    private Path config(RegistryServer server, String userAndPassword) throws IOException {
        String auth = Base64.getEncoder().encodeToString(userAndPassword.getBytes(StandardCharsets.UTF_8));
        return Files.writeString(directory.resolve("config.json"),
                "{\"auths\":{\"" + server.host() + "\":{\"auth\":\"" + auth + "\"}}}");
    }

    @Test
    void aServerWithTlsIsTrustedByItsCertificateOnly(ChildProcesses processes) throws IOException {
        RegistryServer.requireTool(OPENSSL, "openssl");
        Path certificate = directory.resolve("server.pem");
        Path key = directory.resolve("server.key");
        certificate(processes, certificate, key);
        RegistryServer server = RegistryServer.withTls(processes, directory, certificate, key);
        RegistryReference reference = server.reference("guests", "web");
        Path stranger = directory.resolve("stranger.pem");
        certificate(processes, stranger, directory.resolve("stranger.key"));
        assertThatThrownBy(() -> pushAndPull(reference, RegistryOptions.DEFAULTS.withCaFile(stranger)))
                .isInstanceOf(SnapshotException.class).hasMessageContaining("TLS failed")
                .hasMessageContaining("--ca-file");
        assertThatThrownBy(() -> pushAndPull(reference, RegistryOptions.DEFAULTS.withCaFile(key)))
                .hasMessageContaining(key.toString());
        pushAndPull(reference, RegistryOptions.DEFAULTS.withCaFile(certificate));
    }

    @Test
    void nothingLeadsFromTlsToPlainHttp(ChildProcesses processes) throws Exception {
        RegistryServer.requireTool(OPENSSL, "openssl");
        Path certificate = directory.resolve("server.pem");
        Path key = directory.resolve("server.key");
        certificate(processes, certificate, key);
        Path keys = directory.resolve("server.p12");
        run(processes, OPENSSL.toString(), "pkcs12", "-export", "-in", certificate.toString(), "-inkey",
                key.toString(), "-out", keys.toString(), "-passout", "pass:test");
        HttpsServer server = HttpsServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 10);
        server.setHttpsConfigurator(new HttpsConfigurator(context(keys)));
        try (StandInRegistry plain = new StandInRegistry()) {
            server.createContext("/", exchange -> {
                try (exchange) {
                    boolean redirects = exchange.getRequestURI().getPath().endsWith("/redirected");
                    if (redirects) {
                        exchange.getResponseHeaders().set("Location", "http://" + plain.host() + "/x");
                    } else {
                        exchange.getResponseHeaders().set("WWW-Authenticate",
                                "Bearer realm=\"http://" + plain.host() + "/token\",service=\"x\"");
                    }
                    StandInRegistry.reply(exchange, redirects ? 307 : 401, "");
                }
            });
            server.start();
            String host = "127.0.0.1:" + server.getAddress().getPort();
            try (RemoteRepository remote = RemoteRepository.open(new RepositoryName(host, "guests"),
                    RegistryOptions.DEFAULTS.withCaFile(certificate))) {
                assertThatThrownBy(() -> Pull.of(to, id("web")).from(remote,
                        RegistryReference.parse(host + "/guests:redirected")))
                        .hasMessageContaining("from TLS to plain HTTP");
                assertThatThrownBy(() -> Pull.of(to, id("web")).from(remote,
                        RegistryReference.parse(host + "/guests:guarded")))
                        .hasMessageContaining("without TLS; no credentials go there");
            }
            assertThat(plain.requests).isEmpty();
        } finally {
            server.stop(0);
        }
    }

    private static SSLContext context(Path keys) throws Exception {
        KeyStore store = KeyStore.getInstance(keys.toFile(), "test".toCharArray());
        KeyManagerFactory factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        factory.init(store, "test".toCharArray());
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(factory.getKeyManagers(), null, null);
        return context;
    }

    private static void certificate(ChildProcesses processes, Path certificate, Path key) {
        run(processes, OPENSSL.toString(), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", key.toString(), "-out", certificate.toString(), "-days", "2", "-subj",
                "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost");
    }

    @Test
    void skopeoCopiesAnArtifactWholeToAnotherRegistry(ChildProcesses processes) throws IOException {
        RegistryServer.requireTool(SKOPEO, "skopeo");
        RegistryServer first = RegistryServer.start(processes, directory);
        RegistryServer second = RegistryServer.start(processes, directory);
        RegistryReference pushed = first.reference("guests", "web");
        String digest;
        try (RemoteRepository remote = RemoteRepository.open(pushed.repository(), RegistryOptions.DEFAULTS)) {
            digest = Push.of(from, id("web")).to(remote, pushed).digest();
        }
        run(processes, SKOPEO.toString(), "--insecure-policy", "copy", "--src-tls-verify=false",
                "--dest-tls-verify=false", "docker://" + pushed,
                "docker://" + second.reference("copied/guests", "web"));
        first.kill();
        assertThat(run(processes, SKOPEO.toString(), "list-tags", "--tls-verify=false",
                "docker://" + second.repository("copied/guests"))).contains("\"web\"");
        RegistryReference copied = second.reference("copied/guests", "web");
        try (RemoteRepository remote = RemoteRepository.open(copied.repository(), RegistryOptions.DEFAULTS)) {
            assertThat(Pull.of(to, id("web")).from(remote, copied).digest()).isEqualTo(digest);
        }
        Guests.requireWhole(to, "web", guest);
    }

    @Test
    void skopeoSignsAnArtifactByItsDigestAndVerifiesIt(ChildProcesses processes) throws IOException {
        RegistryServer.requireTool(SKOPEO, "skopeo");
        RegistryServer.requireTool(GPG, "gpg");
        RegistryServer server = RegistryServer.start(processes, directory);
        RegistryReference pushed = server.reference("guests", "web");
        try (RemoteRepository remote = RemoteRepository.open(pushed.repository(), RegistryOptions.DEFAULTS)) {
            Push.of(from, id("web")).to(remote, pushed);
        }
        Path manifest = Files.writeString(directory.resolve("manifest.json"), run(processes, SKOPEO.toString(),
                "inspect", "--raw", "--tls-verify=false", "docker://" + pushed).stripTrailing());
        // Short, for gpg's agent makes a socket there; it ends when its directory is gone.
        Path home = Files.createTempDirectory("gpg");
        try {
            gpg(processes, home, GPG.toString(), "--batch", "--pinentry-mode", "loopback", "--passphrase", "",
                    "--quick-generate-key", "baker@example.com", "default", "default", "never");
            String keys = gpg(processes, home, GPG.toString(), "--list-keys", "--with-colons");
            String fingerprint = keys.lines().filter(line -> line.startsWith("fpr:")).findFirst().orElseThrow()
                    .split(":", -1)[9];
            Path signature = directory.resolve("manifest.signature");
            gpg(processes, home, SKOPEO.toString(), "standalone-sign", manifest.toString(), pushed.toString(),
                    fingerprint, "--output", signature.toString());
            assertThat(gpg(processes, home, SKOPEO.toString(), "standalone-verify", manifest.toString(),
                    pushed.toString(), fingerprint, signature.toString())).contains("verified");
            Files.writeString(manifest, " ", StandardOpenOption.APPEND);
            ProcessBuilder forged = new ProcessBuilder(SKOPEO.toString(), "standalone-verify", manifest.toString(),
                    pushed.toString(), fingerprint, signature.toString());
            forged.environment().put("GNUPGHOME", home.toString());
            assertThat(processes.start(forged).awaitExit().status()).isNotZero();
        } finally {
            gpg(processes, home, "/usr/bin/gpgconf", "--kill", "all");
            run(processes, "rm", "-rf", home.toString());
        }
    }

    private static String gpg(ChildProcesses processes, Path home, String... command) {
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().put("GNUPGHOME", home.toString());
        ChildProcess.Exit exit = processes.start(builder).awaitExit();
        assertThat(exit.status()).as(String.join(" ", command) + "\n" + exit.errors()).isZero();
        return exit.output();
    }
}
