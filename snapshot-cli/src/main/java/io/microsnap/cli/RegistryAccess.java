package io.microsnap.cli;

import io.microsnap.registry.RegistryOptions;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;

/** How a command reaches a registry. */
final class RegistryAccess {
    @Option(names = "--registry-config", paramLabel = "FILE",
            description = "Credentials, in the form of Docker's config.json, which is used without this"
                    + " (DOCKER_CONFIG, ~/.docker).")
    private Path config;

    @Option(names = "--ca-file", paramLabel = "FILE",
            description = "Certificates to trust beside those of the JDK (PEM). TLS is then spoken with this machine,"
                    + " too.")
    private Path certificates;

    @Option(names = "--plain-http",
            description = "Allow HTTP without TLS to any machine; without this, to this machine only.")
    private boolean plainHttp;

    @Option(names = "--trust-realm", paramLabel = "HOST",
            description = "Let credentials go to this host, too, where the registry sends clients there for a token.")
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
