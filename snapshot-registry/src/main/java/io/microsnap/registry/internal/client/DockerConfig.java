package io.microsnap.registry.internal.client;

import io.microsnap.core.SnapshotException;
import io.microsnap.store.internal.StrictJson;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** Docker's {@code config.json}: credentials for registries, or helpers that supply them. */
final class DockerConfig {
    private static final long LARGEST_BYTES = 1 << 20;

    private final String file;
    private final Map<String, Credentials> credentials = new HashMap<>();
    private final Map<String, String> helpers = new HashMap<>();
    private Optional<String> store = Optional.empty();

    private DockerConfig(String file) {
        this.file = file;
    }

    /** Reads the file that the options name, or Docker's own if it exists. */
    static DockerConfig read(ClientOptions options) throws IOException {
        Optional<Path> path = options.configFile();
        if (path.isEmpty()) {
            String directory = options.environment().get("DOCKER_CONFIG");
            String home = options.environment().getOrDefault("HOME", "");
            Path own = directory != null && !directory.isBlank() ? Path.of(directory) : Path.of(home, ".docker");
            path = Optional.of(own.resolve("config.json")).filter(Files::exists);
        }
        if (path.isEmpty()) {
            return new DockerConfig("no config.json");
        }
        if (Files.size(path.get()) > LARGEST_BYTES) {
            throw new SnapshotException(path.get() + " is not a file of credentials: it has more than " + LARGEST_BYTES
                    + " bytes");
        }
        DockerConfig config = new DockerConfig(path.get().toString());
        StrictJson.read(config.file, Files.readAllBytes(path.get()), json -> key -> config.key(json, key));
        return config;
    }

    /** Returns the path of the file, for messages. */
    String file() {
        return file;
    }

    /** Returns the credentials in the file itself for a registry. */
    Credentials credentials(String registry) {
        return credentials.getOrDefault(registry, new Credentials.None());
    }

    /** Returns the helper for a registry. */
    Optional<String> helper(String registry) {
        return Optional.ofNullable(helpers.get(registry)).or(() -> store);
    }

    private boolean key(StrictJson json, String key) throws IOException {
        switch (key) {
            case "auths" -> json.object(registry -> {
                credentials.put(host(registry), entry(json));
                return true;
            });
            case "credHelpers" -> json.object(registry -> {
                helpers.put(host(registry), json.string());
                return true;
            });
            case "credsStore" -> store = Optional.of(json.string()).filter(name -> !name.isEmpty());
            default -> json.skip();
        }
        return true;
    }

    /** Older entries are addresses, not hosts. */
    private static String host(String registry) {
        String bare = registry.replaceFirst("^https?://", "");
        int path = bare.indexOf('/');
        return (path < 0 ? bare : bare.substring(0, path)).toLowerCase(Locale.ROOT);
    }

    private static Credentials entry(StrictJson json) throws IOException {
        Map<String, String> values = new HashMap<>();
        json.object(key -> switch (key) {
            case "auth", "username", "password", "identitytoken", "registrytoken" -> {
                values.put(key, json.string());
                yield true;
            }
            default -> json.skip();
        });
        if (!values.getOrDefault("registrytoken", "").isEmpty()) {
            return new Credentials.AccessToken(values.get("registrytoken"));
        }
        if (!values.getOrDefault("identitytoken", "").isEmpty()) {
            return new Credentials.IdentityToken(values.get("identitytoken"));
        }
        String auth = values.getOrDefault("auth", "");
        if (!auth.isEmpty()) {
            return decoded(json, auth);
        }
        String user = values.getOrDefault("username", "");
        return user.isEmpty() ? new Credentials.None()
                : new Credentials.Password(user, values.getOrDefault("password", ""));
    }

    private static Credentials decoded(StrictJson json, String auth) throws IOException {
        String text;
        try {
            text = new String(Base64.getDecoder().decode(auth), StandardCharsets.UTF_8);
        } catch (IllegalArgumentException e) {
            throw json.refused("'auth' is not the Base64 of a user, a colon and a password");
        }
        int colon = text.indexOf(':');
        if (colon <= 0) {
            throw json.refused("'auth' is not the Base64 of a user, a colon and a password");
        }
        return new Credentials.Password(text.substring(0, colon), text.substring(colon + 1));
    }
}
