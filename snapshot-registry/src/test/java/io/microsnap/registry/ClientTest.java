package io.microsnap.registry;

import static io.microsnap.registry.StandInRegistry.reply;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotException;
import io.microsnap.registry.internal.client.Body;
import io.microsnap.registry.internal.client.ClientOptions;
import io.microsnap.registry.internal.client.Patience;
import io.microsnap.registry.internal.client.RegistryClient;
import io.microsnap.registry.internal.client.RegistryClient.Upload;
import io.microsnap.registry.internal.format.Blob;
import io.microsnap.registry.internal.format.Digest;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the client does with a registry that lies, refuses, redirects, asks for credentials, or says nothing. */
class ClientTest {
    private static final byte[] CONTENT = "the content of a blob".getBytes(StandardCharsets.UTF_8);
    private static final Patience SHORT = new Patience(3, Duration.ofMillis(1), Duration.ofMillis(2),
            Duration.ofSeconds(60), 1 << 20);
    /** For servers that say nothing on purpose: long enough to have reached them on a busy machine. */
    private static final Patience IMPATIENT = new Patience(2, Duration.ofMillis(1), Duration.ofMillis(2),
            Duration.ofSeconds(2), 1 << 20);

    @TempDir
    private Path directory;
    private StandInRegistry registry;
    private final Map<String, String> environment = new HashMap<>();
    private Optional<Path> config = Optional.empty();
    private Set<String> realms = Set.of();
    private final List<RegistryClient> clients = new ArrayList<>();
    private Blob blob;

    @BeforeEach
    void start() throws IOException {
        registry = new StandInRegistry();
        environment.put("HOME", directory.toString());
        blob = Blob.of("x", Digest.parse(registry.put(CONTENT)), CONTENT.length);
    }

    @AfterEach
    void stop() {
        clients.forEach(RegistryClient::close);
        registry.close();
    }

    private RegistryClient client() throws IOException {
        return client(SHORT);
    }

    private RegistryClient client(Patience patience) throws IOException {
        RegistryClient client = RegistryClient.of(registry.host(), "guests",
                new ClientOptions(false, Optional.empty(), config, realms, environment, patience));
        clients.add(client);
        return client;
    }

    private void login(String registryName, String user, String password) throws IOException {
        String auth = Base64.getEncoder().encodeToString((user + ":" + password).getBytes(StandardCharsets.UTF_8));
        config = Optional.of(Files.writeString(directory.resolve("config.json"),
                "{\"auths\":{\"" + registryName + "\":{\"auth\":\"" + auth + "\"}},\"HttpHeaders\":{\"a\":\"b\"}}"));
    }

    private static void lieOnBlobs(StandInRegistry registry, StandInRegistry.Lie lie) {
        registry.lie = exchange -> exchange.getRequestURI().getPath().contains("/blobs/sha256")
                && lie.answers(exchange);
    }

    // Credentials.

    @Test
    void aTokenIsFetchedWithThePasswordAndUsedForWhatItIsFor() throws IOException {
        registry.withTokens();
        login(registry.host(), StandInRegistry.USER, StandInRegistry.PASSWORD);
        RegistryClient client = client();
        assertThat(client.hasBlob(blob)).isTrue();
        byte[] more = {1, 2, 3};
        Blob fresh = Blob.of("x", Digest.of(more), more.length);
        assertThat(client.upload(fresh, Body.of(more), List.of())).isEqualTo(Upload.SENT);
        assertThat(client.upload(fresh, Body.of(more), List.of())).isEqualTo(Upload.THERE);
        assertThat(registry.requests).filteredOn(request -> request.startsWith("GET /token")).hasSize(2);
        assertThat(registry.requests).filteredOn(request -> !request.startsWith("GET /token"))
                .noneMatch(request -> request.contains("Basic"));
    }

    @Test
    void missingAndWrongCredentialsAreSaidAndNeverShown() throws IOException {
        registry.withTokens();
        assertThatThrownBy(() -> client().hasBlob(blob)).isInstanceOf(SnapshotException.class)
                .hasMessageContaining("no config.json").hasMessageContaining("docker login " + registry.host());
        login(registry.host(), StandInRegistry.USER, "wr0ng-secret");
        assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining("refuses the credentials")
                .hasMessageContaining("user baker").hasMessageContaining("config.json")
                .satisfies(ClientTest::showsNoSecret);
    }

    private static void showsNoSecret(Throwable failure) {
        for (Throwable at = failure; at != null; at = at.getCause()) {
            assertThat(at.toString()).doesNotContain("s3cret", "wr0ng",
                    Base64.getEncoder().encodeToString("baker:wr0ng-secret".getBytes(StandardCharsets.UTF_8)));
        }
    }

    @Test
    void credentialsDoNotGoToARealmElsewhereUnlessItIsTrusted() throws IOException {
        try (StandInRegistry elsewhere = new StandInRegistry()) {
            registry.realm = Optional.of("http://localhost:" + elsewhere.host().split(":", 2)[1] + "/token");
            login(registry.host(), StandInRegistry.USER, StandInRegistry.PASSWORD);
            assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining("--trust-realm localhost")
                    .satisfies(ClientTest::showsNoSecret);
            assertThat(elsewhere.requests).isEmpty();
            realms = Set.of("localhost");
            // It gives a token that the registry does not know; what counts is that it was asked.
            assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining("refuses the credentials");
            assertThat(elsewhere.requests).isNotEmpty();
        }
        registry.realm = Optional.of("http://registry.example/token");
        assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining("has no TLS");
    }

    @Test
    void aHelperIsAskedAndItsSecretIsNotShown() throws IOException {
        registry.withTokens();
        helper("right", "cat >/dev/null; echo '{\"ServerURL\":\"x\",\"Username\":\"" + StandInRegistry.USER
                + "\",\"Secret\":\"" + StandInRegistry.PASSWORD + "\"}'");
        helper("none", "echo 'credentials not found in native keychain'; exit 1");
        helper("broken", "echo 's3cret'; echo 's3cret' >&2; exit 3");
        helper("babbling", "echo '{\"Username\":\"s3cret'");
        helper("endless", "while :; do echo s3cret; done");
        useHelper("right");
        assertThat(client().hasBlob(blob)).isTrue();
        useHelper("none");
        assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining("has none for it");
        useHelper("broken");
        assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining("status 3")
                .satisfies(ClientTest::showsNoSecret);
        useHelper("babbling");
        assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining("does not answer in JSON")
                .satisfies(ClientTest::showsNoSecret);
        useHelper("endless");
        assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining("writes more than")
                .satisfies(ClientTest::showsNoSecret);
        useHelper("missing");
        assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining("not in the search path");
        for (String path : List.of("/tmp/evil", "../evil", "a b", "")) {
            useHelper(path);
            assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining(
                    path.isEmpty() ? "refuses requests without credentials" : "is not a plain name");
        }
    }

    private void helper(String name, String script) throws IOException {
        Path program = Files.writeString(directory.resolve("docker-credential-" + name), "#!/bin/sh\n" + script + "\n");
        Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwx------"));
        environment.put("PATH", directory.toString());
    }

    private void useHelper(String name) throws IOException {
        config = Optional.of(Files.writeString(directory.resolve("config.json"), "{\"credsStore\":\"" + name + "\"}"));
    }

    @Test
    void dockersOwnPlacesAreLookedAt() throws IOException {
        registry.withTokens();
        login(registry.host(), StandInRegistry.USER, StandInRegistry.PASSWORD);
        Path docker = Files.createDirectory(directory.resolve(".docker"));
        Files.copy(config.orElseThrow(), docker.resolve("config.json"));
        config = Optional.empty();
        assertThat(client().hasBlob(blob)).isTrue();
        environment.put("DOCKER_CONFIG", directory.resolve("elsewhere").toString());
        assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining("no config.json");
        config = Optional.of(Files.writeString(directory.resolve("broken.json"),
                "{\"auths\":{\"a\":{\"auth\":\"?\"}}}"));
        assertThatThrownBy(() -> client().hasBlob(blob)).isInstanceOf(DamagedException.class)
                .hasMessageContaining("broken.json");
    }

    // Redirects.

    @Test
    void aRedirectToAnotherOriginTakesTheRangeAlongAndNoCredentials() throws IOException {
        try (StandInRegistry storage = new StandInRegistry()) {
            storage.put(CONTENT);
            registry.withTokens();
            login(registry.host(), StandInRegistry.USER, StandInRegistry.PASSWORD);
            lieOnBlobs(registry, exchange -> {
                if (exchange.getRequestHeaders().getFirst("Authorization") == null) {
                    return false;
                }
                exchange.getResponseHeaders().set("Location",
                        "http://" + storage.host() + exchange.getRequestURI().getPath());
                reply(exchange, 307, "");
                return true;
            });
            byte[] part = new byte[7];
            client().fetch(blob, 4, MemorySegment.ofArray(part));
            assertThat(new String(part, StandardCharsets.UTF_8)).isEqualTo("content");
            assertThat(storage.requests).isNotEmpty().allMatch(request -> request.endsWith(" null"));
        }
    }

    @Test
    void redirectsThatLeadNowhereAreNotFollowed() {
        for (String location : List.of("http://registry.example/blob", "ftp://127.0.0.1/x", "file:///etc/passwd",
                "http://u:p@127.0.0.1/x", "http://127.0.0.1:99999999/", "http:// /", "")) {
            lieOnBlobs(registry, exchange -> {
                exchange.getResponseHeaders().set("Location", location);
                reply(exchange, 302, "");
                return true;
            });
            assertThatThrownBy(() -> client().fetch(blob, 0, MemorySegment.ofArray(new byte[CONTENT.length])))
                    .as(location).isInstanceOf(SnapshotException.class);
        }
        lieOnBlobs(registry, exchange -> {
            reply(exchange, 302, "");
            return true;
        });
        assertThatThrownBy(() -> client().hasBlob(blob)).hasMessageContaining("without naming");
    }

    // Lies and silence.

    private void refused(StandInRegistry.Lie lie, Class<? extends Exception> type, String why) {
        lieOnBlobs(registry, lie);
        assertThatThrownBy(() -> client().fetch(blob, 4, MemorySegment.ofArray(new byte[7]))).as(why)
                .isInstanceOf(type).hasMessageContaining(why);
    }

    @Test
    void otherRangesThanTheOneAskedForAreRefused() {
        refused(exchange -> ranged(exchange, "bytes 5-11/21", 7), DamagedException.class, "does not serve bytes 4");
        refused(exchange -> ranged(exchange, "bytes 4-10/22", 7), DamagedException.class, "does not serve bytes 4");
        refused(exchange -> ranged(exchange, "nonsense", 7), DamagedException.class, "does not serve bytes 4");
        refused(exchange -> ranged(exchange, "bytes 4-10/21", 8), DamagedException.class, "more than the 7 bytes");
        refused(exchange -> ranged(exchange, "bytes 4-10/21", 6), SnapshotException.class, "only 6 bytes");
        refused(exchange -> {
            reply(exchange, 200, "content");
            return true;
        }, SnapshotException.class, "as a range");
        refused(exchange -> {
            reply(exchange, 416, "");
            return true;
        }, SnapshotException.class, "416");
        refused(exchange -> {
            reply(exchange, 404, "");
            return true;
        }, SnapshotException.class, "push the snapshot again");
    }

    private static boolean ranged(HttpExchange exchange, String range, int length) throws IOException {
        exchange.getResponseHeaders().set("Content-Range", range);
        reply(exchange, 206, new byte[length]);
        return true;
    }

    @Test
    void anEndlessBodyIsNotReadToItsEnd() {
        CountDownLatch broken = new CountDownLatch(1);
        lieOnBlobs(registry, exchange -> {
            exchange.getResponseHeaders().set("Content-Range", "bytes 4-10/21");
            exchange.sendResponseHeaders(206, 0);
            try {
                while (true) {
                    exchange.getResponseBody().write(new byte[1 << 16]);
                }
            } catch (IOException e) {
                broken.countDown();
                throw e;
            }
        });
        assertThatThrownBy(() -> client().fetch(blob, 4, MemorySegment.ofArray(new byte[7])))
                .isInstanceOf(DamagedException.class).hasMessageContaining("more than the 7 bytes");
        assertThat(broken).satisfies(latch -> assertThat(latch.await(60, TimeUnit.SECONDS)).isTrue());
    }

    @Test
    void aSilentServerIsGivenUp() throws IOException {
        CountDownLatch end = new CountDownLatch(1);
        AtomicInteger asked = new AtomicInteger();
        lieOnBlobs(registry, exchange -> {
            asked.incrementAndGet();
            exchange.getResponseHeaders().set("Content-Range", "bytes 4-10/21");
            exchange.sendResponseHeaders(206, 7);
            exchange.getResponseBody().write(1);
            exchange.getResponseBody().flush();
            await(end);
            return true;
        });
        assertThatThrownBy(() -> client(IMPATIENT).fetch(blob, 4, MemorySegment.ofArray(new byte[7])))
                .hasMessageContaining("no byte moved").hasMessageContaining("tried 2 times");
        assertThat(asked).hasValue(2);
        lieOnBlobs(registry, exchange -> {
            await(end);
            return true;
        });
        assertThatThrownBy(() -> client(IMPATIENT).hasBlob(blob)).hasMessageContaining("no byte moved");
        end.countDown();
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Test
    void temporaryRefusalsAreRetriedAndOthersAreNot() throws IOException {
        AtomicInteger asked = new AtomicInteger();
        for (int status : new int[] {429, 500, 502, 503, 504}) {
            asked.set(0);
            lieOnBlobs(registry, exchange -> {
                if (asked.incrementAndGet() < 3) {
                    exchange.getResponseHeaders().set("Retry-After", "0");
                    reply(exchange, status, "");
                    return true;
                }
                return false;
            });
            assertThat(client().hasBlob(blob)).isTrue();
            assertThat(asked).as("status " + status).hasValue(3);
        }
        for (int status : new int[] {400, 405, 410, 501}) {
            asked.set(0);
            lieOnBlobs(registry, exchange -> {
                asked.incrementAndGet();
                reply(exchange, status, "{\"errors\":[{\"code\":\"NO\",\"message\":\"not \\u001b[31mthis\"}]}");
                return true;
            });
            assertThatThrownBy(() -> client().fetch(blob, 0, MemorySegment.ofArray(new byte[CONTENT.length])))
                    .hasMessageContaining("status " + status);
            assertThat(asked).as("status " + status).hasValue(1);
        }
        lieOnBlobs(registry, exchange -> {
            reply(exchange, 503, "{\"errors\":[{\"code\":\"FULL\",\"message\":\"no space left\"}]}");
            return true;
        });
        assertThatThrownBy(() -> client().fetch(blob, 0, MemorySegment.ofArray(new byte[CONTENT.length])))
                .hasMessageContaining("503")
                .hasMessageContaining("FULL (no space left)").hasMessageContaining("tried 3 times");
    }

    @Test
    void wrongBytesAndWrongLengthsAreRefused() throws IOException {
        lieOnBlobs(registry, exchange -> {
            StandInRegistry.serve(exchange, "the content of a blub".getBytes(StandardCharsets.UTF_8));
            return true;
        });
        assertThatThrownBy(() -> client().fetchSmall(blob, 100)).isInstanceOf(DamagedException.class)
                .hasMessageContaining("other bytes");
        assertThatThrownBy(() -> client().fetchSmall(blob, 20)).isInstanceOf(DamagedException.class)
                .hasMessageContaining("at most 20");
        lieOnBlobs(registry, exchange -> {
            exchange.getResponseHeaders().set("Content-Length", "22");
            exchange.sendResponseHeaders(200, -1);
            return true;
        });
        assertThatThrownBy(() -> client().hasBlob(blob)).isInstanceOf(DamagedException.class)
                .hasMessageContaining("with 22 bytes");
        registry.manifests.put("sha256:" + "1".repeat(64), CONTENT);
        assertThatThrownBy(() -> client().manifest("sha256:" + "1".repeat(64))).isInstanceOf(DamagedException.class)
                .hasMessageContaining("do not trust it");
    }

    @Test
    void tagsThatNeverEndOrLeadElsewhereAreRefused() throws IOException {
        registry.lie = exchange -> {
            exchange.getResponseHeaders().set("Link", "<http://localhost:1/v2/guests/tags/list?last=x>; rel=\"next\"");
            reply(exchange, 200, "{\"tags\":[\"a\"]}");
            return true;
        };
        assertThatThrownBy(() -> client().tags()).hasMessageContaining("elsewhere");
        registry.lie = exchange -> {
            boolean first = exchange.getRequestURI().getQuery() == null;
            if (first) {
                exchange.getResponseHeaders().set("Link", "</v2/guests/tags/list?last=a>; rel=\"next\"");
            }
            reply(exchange, 200, first ? "{\"tags\":[\"a\"]}" : "{\"name\":\"x\",\"tags\":[\"b\"]}");
            return true;
        };
        assertThat(client().tags()).containsExactly("a", "b");
        registry.lie = exchange -> {
            reply(exchange, 200, "{\"tags\":null}");
            return true;
        };
        assertThat(client().tags()).isEmpty();
        registry.lie = exchange -> {
            reply(exchange, 200, "{\"tags\":[\"../../x\"]}");
            return true;
        };
        try (RemoteRepository remote = RemoteRepository.open(registry.repository(),
                RegistryOptions.DEFAULTS.with(SHORT))) {
            assertThatThrownBy(remote::list).isInstanceOf(DamagedException.class)
                    .hasMessageContaining("an invalid tag");
        }
    }

    @Test
    void aRegistryThatIsNotThereIsSaidSo() throws IOException {
        RegistryClient client = client();
        registry.close();
        assertThatThrownBy(() -> client.hasBlob(blob)).hasMessageContaining("cannot reach " + registry.host())
                .hasMessageContaining("is it running").hasMessageContaining("tried 3 times");
    }

    @Test
    void withoutTlsOnlyThisMachineIsSpokenWith() throws IOException {
        // Nobody is at that address; TLS is tried there, and plain HTTP where it is allowed.
        environment.put("HTTPS_PROXY", "http://" + registry.host());
        environment.put("HTTP_PROXY", "http://" + registry.host());
        registry.lie = exchange -> {
            reply(exchange, 404, "");
            return true;
        };
        try (RegistryClient secure = RegistryClient.of("registry.example", "guests", new ClientOptions(false,
                Optional.empty(), config, realms, environment, SHORT))) {
            assertThatThrownBy(() -> secure.hasBlob(blob)).isInstanceOf(SnapshotException.class);
        }
        assertThat(registry.requests).filteredOn(request -> request.startsWith("HEAD")).isEmpty();
        try (RegistryClient plain = RegistryClient.of("registry.example", "guests", new ClientOptions(true,
                Optional.empty(), config, realms, environment, SHORT))) {
            assertThat(plain.hasBlob(blob)).isFalse();
        }
        assertThat(registry.requests).anyMatch(request -> request.startsWith("HEAD http://registry.example"));
        // This machine is never asked for through a proxy.
        environment.put("HTTP_PROXY", "http://127.0.0.1:1");
        registry.lie = exchange -> false;
        assertThat(client().hasBlob(blob)).isTrue();
        environment.put("NO_PROXY", ".example");
        environment.put("HTTP_PROXY", "http://user:pass@127.0.0.1:1");
        assertThatThrownBy(this::client).hasMessageContaining("proxies that ask for credentials")
                .hasMessageNotContaining("pass@");
    }

    @Test
    void aMountThatIsNotGrantedIsGivenUpAndTheBlobSent() throws IOException {
        byte[] more = {4, 5, 6};
        Blob fresh = Blob.of("x", Digest.of(more), more.length);
        assertThat(client().upload(fresh, Body.of(more), List.of("other"))).isEqualTo(Upload.SENT);
        assertThat(registry.requests).anyMatch(request -> request.startsWith("DELETE "));
        assertThat(registry.requests).filteredOn(request -> request.startsWith("PUT ")).hasSize(1);
    }
}
