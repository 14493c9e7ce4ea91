package io.microsnap.registry.internal.client;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * How a registry is reached.
 *
 * @param plainHttp whether HTTP without TLS is allowed to other machines too
 * @param caFile certificates to trust beside those of the JDK
 * @param configFile where credentials are; empty for Docker's own place
 * @param trustedRealms hosts beside the registry's to which credentials may go for a token
 * @param environment of this process: proxies, {@code DOCKER_CONFIG}, {@code PATH}
 * @param patience how long to wait, and how often to try
 */
public record ClientOptions(boolean plainHttp, Optional<Path> caFile, Optional<Path> configFile,
        Set<String> trustedRealms, Map<String, String> environment, Patience patience) {
    public ClientOptions {
        trustedRealms = Set.copyOf(trustedRealms);
        environment = Map.copyOf(environment);
    }
}
