package io.microsnap.registry;

import io.microsnap.registry.internal.client.ClientOptions;
import io.microsnap.registry.internal.client.Patience;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * How to reach a registry. Begin with {@link #DEFAULTS} and change what should differ.
 *
 * <p>Credentials come from Docker's {@code config.json}, in {@code DOCKER_CONFIG} or {@code ~/.docker}, and the
 * credential helpers it names; proxies from {@code HTTPS_PROXY}, {@code HTTP_PROXY} and {@code NO_PROXY}.
 */
public final class RegistryOptions {
    /** TLS, except for this machine itself; Docker's credentials. */
    public static final RegistryOptions DEFAULTS = new RegistryOptions(new ClientOptions(false, Optional.empty(),
            Optional.empty(), Set.of(), System.getenv(), Patience.DEFAULT));

    private final ClientOptions client;

    private RegistryOptions(ClientOptions client) {
        this.client = client;
    }

    ClientOptions client() {
        return client;
    }

    /** Allows HTTP without TLS to any machine: an attacker on the network can then read and change everything. */
    public RegistryOptions withPlainHttp() {
        return new RegistryOptions(new ClientOptions(true, client.caFile(), client.configFile(),
                client.trustedRealms(), client.environment(), client.patience()));
    }

    /**
     * Trusts the certificates in this PEM file, beside those of the JDK; connections to this machine then use TLS, too.
     */
    public RegistryOptions withCaFile(Path file) {
        return new RegistryOptions(new ClientOptions(client.plainHttp(), Optional.of(file), client.configFile(),
                client.trustedRealms(), client.environment(), client.patience()));
    }

    /** Takes credentials from this file in the form of Docker's {@code config.json}. */
    public RegistryOptions withConfigFile(Path file) {
        return new RegistryOptions(new ClientOptions(client.plainHttp(), client.caFile(), Optional.of(file),
                client.trustedRealms(), client.environment(), client.patience()));
    }

    /** Allows sending credentials to this host, too, if the registry directs clients there for a token. */
    public RegistryOptions withTrustedRealm(String host) {
        Set<String> realms = new HashSet<>(client.trustedRealms());
        realms.add(host);
        return new RegistryOptions(new ClientOptions(client.plainHttp(), client.caFile(), client.configFile(), realms,
                client.environment(), client.patience()));
    }

    /** Uses these environment variables instead of the process's. */
    public RegistryOptions withEnvironment(Map<String, String> environment) {
        return new RegistryOptions(new ClientOptions(client.plainHttp(), client.caFile(), client.configFile(),
                client.trustedRealms(), environment, client.patience()));
    }

    /** Sets time limits and retries, for tests. */
    RegistryOptions with(Patience patience) {
        return new RegistryOptions(new ClientOptions(client.plainHttp(), client.caFile(), client.configFile(),
                client.trustedRealms(), client.environment(), patience));
    }
}
