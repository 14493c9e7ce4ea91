package io.microsnap.registry.internal.client;

import java.nio.charset.StandardCharsets;
import java.util.Base64;

/** Credentials for a registry. Their text never shows the secret. */
sealed interface Credentials {
    /** No credentials for this registry. */
    record None() implements Credentials {
    }

    /** A name and a password. */
    record Password(String user, String secret) implements Credentials {
        String basic() {
            return "Basic " + Base64.getEncoder()
                    .encodeToString((user + ":" + secret).getBytes(StandardCharsets.UTF_8));
        }

        @Override
        public String toString() {
            return "user " + user;
        }
    }

    /** A token that is exchanged for access tokens. */
    record IdentityToken(String secret) implements Credentials {
        @Override
        public String toString() {
            return "an identity token";
        }
    }

    /** An access token, given as it is. */
    record AccessToken(String secret) implements Credentials {
        @Override
        public String toString() {
            return "a registry token";
        }
    }
}
