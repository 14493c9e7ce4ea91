package io.microsnap.registry.internal.client;

import io.microsnap.core.SnapshotException;
import io.microsnap.store.internal.Printable;
import io.microsnap.store.internal.StrictJson;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/** Runs a Docker credential helper: a program {@code docker-credential-NAME} in the search path. */
final class CredentialHelper {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,63}");
    private static final String NOT_FOUND = "credentials not found";
    private static final int LARGEST_ANSWER = 64 << 10;
    private static final String TOKEN_USER = "<token>";

    private final Map<String, String> environment;
    private final long patienceSeconds;

    CredentialHelper(ClientOptions options) {
        environment = options.environment();
        patienceSeconds = Math.max(1, options.patience().silence().toSeconds());
    }

    /** Returns the helper's credentials for a registry; none if it has none. */
    Credentials get(String name, String registry) throws IOException {
        if (!NAME.matcher(name).matches()) {
            throw new SnapshotException("the credential helper '" + Printable.of(name) + "' is not a plain name: only"
                    + " programs docker-credential-NAME in the search path are run");
        }
        String program = "docker-credential-" + name;
        Process process = new ProcessBuilder(find(program).toString(), "get")
                .redirectError(ProcessBuilder.Redirect.DISCARD).start();
        try {
            // Kill a helper that does not end: its streams then end, too.
            Thread.ofVirtual().start(() -> endLate(process));
            try (OutputStream input = process.getOutputStream()) {
                input.write(registry.getBytes(StandardCharsets.UTF_8));
            } catch (IOException e) {
                // The helper did not read its input; its output says more.
            }
            byte[] answer;
            try (InputStream output = process.getInputStream()) {
                answer = output.readNBytes(LARGEST_ANSWER + 1);
            }
            if (answer.length > LARGEST_ANSWER) {
                throw new SnapshotException(program + " writes more than " + LARGEST_ANSWER + " bytes");
            }
            int status = process.onExit().join().exitValue();
            if (status != 0) {
                // The output may hold a secret, so it is not repeated.
                if (new String(answer, StandardCharsets.UTF_8).contains(NOT_FOUND)) {
                    return new Credentials.None();
                }
                throw new SnapshotException(program + " ended with status " + status + " when asked for the credentials"
                        + " of " + registry + "; run it by hand, or log in again");
            }
            return parse(program, answer);
        } finally {
            process.destroyForcibly();
        }
    }

    private void endLate(Process process) {
        try {
            if (!process.waitFor(patienceSeconds, TimeUnit.SECONDS)) {
                process.descendants().forEach(ProcessHandle::destroyForcibly);
                process.destroyForcibly();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private Path find(String program) throws SnapshotException {
        Optional<Path> found = Arrays.stream(environment.getOrDefault("PATH", "").split(File.pathSeparator, -1))
                .filter(directory -> directory.startsWith("/")).map(directory -> Path.of(directory, program))
                .filter(Files::isExecutable).findFirst();
        return found.orElseThrow(() -> new SnapshotException(program + " is not in the search path, but config.json"
                + " names it for this registry; install it or log in without it"));
    }

    private static Credentials parse(String program, byte[] answer) throws IOException {
        String[] user = {""};
        String[] secret = {""};
        try {
            StrictJson.read(program, answer, json -> key -> {
                switch (key) {
                    case "Username" -> user[0] = json.string();
                    case "Secret" -> secret[0] = json.string();
                    default -> json.skip();
                }
                return true;
            });
        } catch (IOException e) {
            // The cause could quote the secret.
            throw new SnapshotException(program + " does not answer in JSON with Username and Secret");
        }
        if (user[0].isEmpty()) {
            return new Credentials.None();
        }
        return user[0].equals(TOKEN_USER) ? new Credentials.IdentityToken(secret[0])
                : new Credentials.Password(user[0], secret[0]);
    }
}
