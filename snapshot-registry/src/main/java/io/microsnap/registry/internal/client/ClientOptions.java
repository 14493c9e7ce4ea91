package io.microsnap.registry.internal.client;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * How to reach a registry.
 *
 * @param plainHttp whether HTTP without TLS is allowed to other machines, too
 * @param caFile certificates to trust in addition to those of the JDK
 * @param configFile the file with credentials; empty for Docker's own
 * @param trustedRealms hosts other than the registry's that may receive credentials for a token
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
