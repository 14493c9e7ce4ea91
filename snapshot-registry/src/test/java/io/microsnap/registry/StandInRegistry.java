package io.microsnap.registry;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.microsnap.registry.internal.format.Digest;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A registry that keeps everything in memory and takes the specification at its word: for what no real one here can do,
 * which is to ask for bearer tokens and to lie. It notes each request and what it was authorized with.
 */
final class StandInRegistry implements AutoCloseable {
    static final String USER = "baker";
    static final String PASSWORD = "s3cret-of-the-baker";

    private static final Pattern PATH = Pattern.compile("/v2/([a-z0-9/]+)/(blobs|manifests|tags)/(.*)");
    private static final Pattern RANGE = Pattern.compile("bytes=(\\d+)-(\\d+)");

    final Map<String, byte[]> blobs = new ConcurrentHashMap<>();
    final Map<String, byte[]> manifests = new ConcurrentSkipListMap<>();
    final List<String> requests = new CopyOnWriteArrayList<>();
    /** What answers in the place of the registry, if it wants to: true if it has. */
    volatile Lie lie = exchange -> false;
    /** Where clients are sent for a token; without it nobody is asked. */
    volatile Optional<String> realm = Optional.empty();

    private final Map<String, String> tokens = new ConcurrentHashMap<>();
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private final HttpServer server;

    @FunctionalInterface
    interface Lie {
        boolean answers(HttpExchange exchange) throws IOException;
    }

    StandInRegistry() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 50);
        server.setExecutor(threads);
        server.createContext("/", exchange -> {
            try (exchange) {
                requests.add(exchange.getRequestMethod() + " " + exchange.getRequestURI() + " "
                        + exchange.getRequestHeaders().getFirst("Authorization"));
                if (!lie.answers(exchange)) {
                    answer(exchange);
                }
            }
        });
        server.start();
    }

    String host() {
        return "127.0.0.1:" + server.getAddress().getPort();
    }

    RepositoryName repository() {
        return new RepositoryName(host(), "guests");
    }

    RegistryReference tag(String tag) {
        return RegistryReference.parse(repository() + ":" + tag);
    }

    /** Asks for bearer tokens, which this server gives itself. */
    StandInRegistry withTokens() {
        realm = Optional.of("http://" + host() + "/token");
        return this;
    }

    /** Stores bytes as a blob. */
    String put(byte[] content) {
        String digest = Digest.of(content).toString();
        blobs.put(digest, content);
        return digest;
    }

    private void answer(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        if (path.equals("/token")) {
            giveToken(exchange);
            return;
        }
        Matcher matcher = PATH.matcher(path);
        if (!matcher.matches()) {
            reply(exchange, 404, "");
            return;
        }
        boolean writes = !exchange.getRequestMethod().equals("GET") && !exchange.getRequestMethod().equals("HEAD");
        String scope = "repository:" + matcher.group(1) + ":" + (writes ? "pull,push" : "pull");
        if (realm.isPresent() && !isAuthorized(exchange, scope)) {
            exchange.getResponseHeaders().set("WWW-Authenticate", "Bearer realm=\"" + realm.get()
                    + "\",service=\"stand-in\",scope=\"" + scope + "\"");
            reply(exchange, 401, "");
            return;
        }
        switch (matcher.group(2)) {
            case "blobs" -> blob(exchange, matcher.group(3));
            case "manifests" -> manifest(exchange, matcher.group(3));
            default -> reply(exchange, 200, "{\"name\":\"guests\",\"tags\":[" + String.join(",", manifests.keySet()
                    .stream().filter(tag -> !tag.contains(":")).map(tag -> "\"" + tag + "\"").toList()) + "]}");
        }
    }

    private boolean isAuthorized(HttpExchange exchange, String scope) {
        String header = exchange.getRequestHeaders().getFirst("Authorization");
        if (header == null || !header.startsWith("Bearer ")) {
            return false;
        }
        String granted = tokens.getOrDefault(header.substring("Bearer ".length()), "");
        return granted.equals(scope) || granted.equals(scope.replace(":pull", ":pull,push"));
    }

    private void giveToken(HttpExchange exchange) throws IOException {
        String wanted = "Basic " + Base64.getEncoder()
                .encodeToString((USER + ":" + PASSWORD).getBytes(StandardCharsets.UTF_8));
        String query = exchange.getRequestURI().getQuery();
        if (!wanted.equals(exchange.getRequestHeaders().getFirst("Authorization"))
                || !query.contains("service=stand-in")) {
            reply(exchange, 401, "");
            return;
        }
        String token = UUID.randomUUID().toString();
        tokens.put(token, Arrays.stream(query.split("&", -1)).filter(part -> part.startsWith("scope="))
                .findFirst().orElseThrow().substring("scope=".length()));
        reply(exchange, 200, "{\"token\":\"" + token + "\",\"expires_in\":300}");
    }

    private void blob(HttpExchange exchange, String rest) throws IOException {
        switch (exchange.getRequestMethod()) {
            case "POST" -> {
                exchange.getResponseHeaders().set("Location", "/v2/guests/blobs/uploads/1?state=x");
                reply(exchange, 202, "");
            }
            case "PUT" -> {
                byte[] content = exchange.getRequestBody().readAllBytes();
                boolean right = exchange.getRequestURI().getQuery().endsWith("digest=" + Digest.of(content));
                if (right) {
                    put(content);
                }
                reply(exchange, right ? 201 : 400, "");
            }
            default -> {
                byte[] content = blobs.get(rest);
                if (content == null) {
                    reply(exchange, 404, "");
                } else {
                    serve(exchange, content);
                }
            }
        }
    }

    static void serve(HttpExchange exchange, byte[] content) throws IOException {
        String range = exchange.getRequestHeaders().getFirst("Range");
        if (exchange.getRequestMethod().equals("HEAD")) {
            exchange.getResponseHeaders().set("Content-Length", Integer.toString(content.length));
            exchange.sendResponseHeaders(200, -1);
        } else if (range == null) {
            reply(exchange, 200, content);
        } else {
            Matcher matcher = RANGE.matcher(range);
            if (!matcher.matches() || Integer.parseInt(matcher.group(1)) >= content.length) {
                reply(exchange, 416, "");
                return;
            }
            int from = Integer.parseInt(matcher.group(1));
            int to = Math.min(content.length, Integer.parseInt(matcher.group(2)) + 1);
            exchange.getResponseHeaders().set("Content-Range", "bytes " + from + "-" + (to - 1) + "/"
                    + content.length);
            reply(exchange, 206, Arrays.copyOfRange(content, from, to));
        }
    }

    private void manifest(HttpExchange exchange, String reference) throws IOException {
        if (exchange.getRequestMethod().equals("PUT")) {
            store(exchange, reference, exchange.getRequestBody().readAllBytes());
            return;
        }
        byte[] content = manifests.get(reference);
        if (content == null) {
            reply(exchange, 404, "");
        } else {
            exchange.getResponseHeaders().set("Content-Type", "application/vnd.oci.image.manifest.v1+json");
            reply(exchange, 200, content);
        }
    }

    /** Stores a manifest, and answers with its digest, as registries do. */
    void store(HttpExchange exchange, String reference, byte[] content) throws IOException {
        String digest = Digest.of(content).toString();
        manifests.put(reference, content);
        manifests.put(digest, content);
        exchange.getResponseHeaders().set("Docker-Content-Digest", digest);
        reply(exchange, 201, "");
    }

    static void reply(HttpExchange exchange, int status, String body) throws IOException {
        reply(exchange, status, body.getBytes(StandardCharsets.UTF_8));
    }

    static void reply(HttpExchange exchange, int status, byte[] body) throws IOException {
        exchange.getRequestBody().readAllBytes();
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        if (body.length > 0) {
            exchange.getResponseBody().write(body);
        }
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
