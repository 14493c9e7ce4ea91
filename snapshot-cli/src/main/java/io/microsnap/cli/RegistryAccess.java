package io.microsnap.cli;

import io.microsnap.registry.RegistryOptions;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;

/** The options for reaching a registry. */
final class RegistryAccess {
    @Option(names = "--registry-config", paramLabel = "FILE",
            description = "A file with credentials, in the form of Docker's config.json (default: Docker's own,"
                    + " DOCKER_CONFIG or ~/.docker).")
    private Path config;

    @Option(names = "--ca-file", paramLabel = "FILE",
            description = "Certificates to trust in addition to those of the JDK (PEM). Connections to this machine"
                    + " then use TLS, too.")
    private Path certificates;

    @Option(names = "--plain-http",
            description = "Allow HTTP without TLS to any machine; without this, to this machine only.")
    private boolean plainHttp;

    @Option(names = "--trust-realm", paramLabel = "HOST",
            description = "Allow sending credentials to this host, too, if the registry directs clients there for a"
                    + " token.")
    private List<String> realms = List.of();

    RegistryOptions options() {
        RegistryOptions options = RegistryOptions.DEFAULTS;
        if (config != null) {
            options = options.withConfigFile(config);
        }
        if (certificates != null) {
            options = options.withCaFile(certificates);
        }
        if (plainHttp) {
            options = options.withPlainHttp();
        }
        for (String realm : realms) {
            options = options.withTrustedRealm(realm);
        }
        return options;
    }
}
