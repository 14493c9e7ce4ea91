package io.microsnap.registry.internal.client;

import io.microsnap.core.SnapshotException;
import io.microsnap.registry.internal.client.Transport.Request;
import io.microsnap.store.internal.Printable;
import io.microsnap.store.internal.StrictJson;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Adds the {@code Authorization} that a registry demands to requests. It sends credentials only to the registry itself
 * and, for a token, to a realm on its host or on a host that the options trust. Any number of threads may use it.
 */
final class Authorizer {
    private static final int LARGEST_TOKEN_ANSWER = 128 << 10;

    private final Endpoint registry;
    private final String name;
    private final ClientOptions options;
    private final Transport transport;
    private final Map<String, String> headers = new ConcurrentHashMap<>();
    private Credentials credentials;
    private String origin = "";

    /** @param name the registry as the user wrote it */
    Authorizer(Endpoint registry, String name, ClientOptions options, Transport transport) {
        this.registry = registry;
        this.name = name;
        this.options = options;
        this.transport = transport;
    }

    /** Returns the header that worked for this scope before. */
    Optional<String> known(String scope) {
        return Optional.ofNullable(headers.get(scope));
    }

    /**
     * Finds the header that answers a refusal.
     *
     * @param sent the header that was refused, if there was one
     * @throws SnapshotException if there are no credentials that could answer it
     */
    String answer(Answer refusal, String scope, Optional<String> sent) throws IOException {
        List<Challenge> challenges = Challenge.parse(refusal.headers().allValues("WWW-Authenticate"));
        Credentials mine = credentials();
        for (Challenge challenge : challenges) {
            String realm = challenge.parameters().get("realm");
            if (challenge.scheme().equals("bearer") && realm != null) {
                String header = mine instanceof Credentials.AccessToken(String token) ? "Bearer " + token
                        : "Bearer " + token(challenge, scope, mine);
                return remember(scope, header, sent);
            }
        }
        for (Challenge challenge : challenges) {
            if (challenge.scheme().equals("basic")) {
                if (!(mine instanceof Credentials.Password password)) {
                    throw new SnapshotException(name + " demands a user and a password, and " + origin + " has "
                            + (mine instanceof Credentials.None ? "none" : mine + " instead") + " for it; "
                            + remedy());
                }
                return remember(scope, password.basic(), sent);
            }
        }
        throw new SnapshotException(name + " refuses the request (401) and demands an unknown kind of authorization");
    }

    private String remember(String scope, String header, Optional<String> sent) throws IOException {
        headers.put(scope, header);
        if (sent.isPresent() && sent.get().equals(header)) {
            throw refused();
        }
        return header;
    }

    /** Returns the exception for a request that was refused although it had credentials. */
    SnapshotException refused() throws IOException {
        Credentials mine = credentials();
        return new SnapshotException(name + (mine instanceof Credentials.None
                ? " refuses requests without credentials, and " + origin + " has none for it; "
                : " refuses the credentials from " + origin + " (" + mine + ") for this repository; ") + remedy());
    }

    private String remedy() {
        return "log in with 'docker login " + name + "', or name another file with --registry-config";
    }

    /** Forgets a header that no longer works. */
    void forget(String scope, String header) {
        headers.remove(scope, header);
    }

    private synchronized Credentials credentials() throws IOException {
        if (credentials == null) {
            DockerConfig config = DockerConfig.read(options);
            origin = config.file();
            Optional<String> helper = config.helper(name);
            Credentials found = new Credentials.None();
            if (helper.isPresent()) {
                origin = "docker-credential-" + Printable.of(helper.get());
                found = new CredentialHelper(options).get(helper.get(), name);
            }
            if (found instanceof Credentials.None) {
                found = config.credentials(name);
                origin = found instanceof Credentials.None ? origin : config.file();
            }
            credentials = found;
        }
        return credentials;
    }

    private String token(Challenge challenge, String scope, Credentials mine) throws IOException {
        URI realm;
        try {
            realm = URI.create(challenge.parameters().get("realm"));
        } catch (IllegalArgumentException e) {
            throw new SnapshotException(name + " names a token realm that is not an address", e);
        }
        Endpoint host = Endpoint.of(realm);
        if (registry.isSecure() && !host.isSecure()) {
            throw new SnapshotException(name + " sends clients for a token to " + Endpoint.shown(realm)
                    + ", without TLS; no credentials go there");
        }
        if (!host.isSecure() && !host.isLoopback() && !options.plainHttp()) {
            throw new SnapshotException("the token realm " + Endpoint.shown(realm)
                    + " has no TLS; --plain-http allows that");
        }
        if (!(mine instanceof Credentials.None) && !host.host().equals(registry.host())
                && !options.trustedRealms().contains(host.host())) {
            throw new SnapshotException(name + " sends clients for a token to " + host.host() + "; if you trust it"
                    + " with credentials, add --trust-realm " + host.host());
        }
        Map<String, String> query = new HashMap<>();
        // Prefer the registry's scope: mounting a blob also needs the right to read the other repository.
        query.put("scope", challenge.parameters().getOrDefault("scope", scope));
        if (challenge.parameters().get("service") != null) {
            query.put("service", challenge.parameters().get("service"));
        }
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        Answer answer = transport.send(request(realm, query, mine), Sink.into(body, LARGEST_TOKEN_ANSWER));
        if (answer.status() == 401 || answer.status() == 403) {
            throw refused();
        }
        if (!answer.isSuccess()) {
            throw new SnapshotException("the token realm " + Endpoint.shown(realm) + " answers with status "
                    + answer.status());
        }
        return parse(Endpoint.shown(realm), body.toByteArray());
    }

    private static Request request(URI realm, Map<String, String> query, Credentials mine) {
        return switch (mine) {
            case Credentials.IdentityToken(String secret) -> {
                Map<String, String> form = new HashMap<>(query);
                form.put("grant_type", "refresh_token");
                form.put("client_id", "microsnap");
                form.put("refresh_token", secret);
                yield new Request("POST", realm, Map.of("Content-Type", "application/x-www-form-urlencoded"),
                        Optional.of(Body.of(encoded(form).getBytes(StandardCharsets.UTF_8))));
            }
            case Credentials.Password password -> new Request("GET", with(realm, query),
                    Map.of("Authorization", password.basic()), Optional.empty());
            case Credentials.None none -> new Request("GET", with(realm, query), Map.of(), Optional.empty());
            case Credentials.AccessToken token -> throw new IllegalStateException("a token needs no other");
        };
    }

    private static URI with(URI realm, Map<String, String> query) {
        String text = realm.toString();
        return URI.create(text + (text.contains("?") ? "&" : "?") + encoded(query));
    }

    private static String encoded(Map<String, String> values) {
        StringBuilder text = new StringBuilder();
        values.forEach((key, value) -> text.append(text.isEmpty() ? "" : "&").append(key).append('=')
                .append(URLEncoder.encode(value, StandardCharsets.UTF_8)));
        return text.toString();
    }

    private static String parse(String realm, byte[] answer) throws SnapshotException {
        String[] token = {""};
        try {
            StrictJson.read(realm, answer, json -> key -> {
                if (key.equals("token") || (key.equals("access_token") && token[0].isEmpty())) {
                    token[0] = json.string();
                    return true;
                }
                return json.skip();
            });
        } catch (IOException e) {
            // The cause could quote the token.
            throw new SnapshotException("the token realm " + realm + " does not answer in JSON");
        }
        if (token[0].isEmpty() || !token[0].chars().allMatch(character -> character > ' ' && character < 0x7f)) {
            throw new SnapshotException("the token realm " + realm + " answers without a token");
        }
        return token[0];
    }
}
