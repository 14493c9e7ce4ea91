package io.microsnap.registry;

import io.microsnap.store.internal.Printable;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Names an artifact in a repository, by a tag, a digest, or both: {@code localhost:5000/guests:web-1},
 * {@code localhost:5000/guests@sha256:…}. If it has both, the digest decides, and a push sets the tag.
 *
 * @param repository the repository
 * @param tag a name that may later lead to another artifact
 * @param digest {@code sha256:} and the SHA-256 of the artifact's manifest
 */
public record RegistryReference(RepositoryName repository, Optional<String> tag, Optional<String> digest) {
    private static final Pattern TAG = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,127}");
    private static final Pattern DIGEST = Pattern.compile("sha256:[0-9a-f]{64}");

    /** Refuses any other form, and a reference without tag and digest, with {@link IllegalArgumentException}. */
    public RegistryReference {
        Objects.requireNonNull(repository);
        if (tag.isEmpty() && digest.isEmpty()) {
            throw new IllegalArgumentException("'" + repository + "' has neither a tag nor a digest; add one, as in "
                    + repository + ":latest");
        }
        if (tag.isPresent() && !TAG.matcher(tag.get()).matches()) {
            throw new IllegalArgumentException("'" + Printable.of(tag.get()) + "' is not a tag: 1 to 128 letters,"
                    + " digits, '_', '.', '-', not starting with '.' or '-'");
        }
        if (digest.isPresent() && !DIGEST.matcher(digest.get()).matches()) {
            throw new IllegalArgumentException("'" + Printable.of(digest.get())
                    + "' is not a digest: give sha256: and 64 lower-case hex digits");
        }
    }

    /** Reads {@code HOST[:PORT]/PATH[:TAG][@DIGEST]}. */
    public static RegistryReference parse(String text) {
        int at = text.indexOf('@');
        String named = at < 0 ? text : text.substring(0, at);
        Optional<String> digest = at < 0 ? Optional.empty() : Optional.of(text.substring(at + 1));
        int colon = named.indexOf(':', Math.max(0, named.indexOf('/')));
        boolean hasTag = colon >= 0 && named.indexOf('/') >= 0;
        Optional<String> tag = hasTag ? Optional.of(named.substring(colon + 1)) : Optional.empty();
        return new RegistryReference(RepositoryName.parse(hasTag ? named.substring(0, colon) : named), tag, digest);
    }

    /** Returns the digest, or else the tag: the key for requests to the registry. */
    String selector() {
        return digest.or(() -> tag).orElseThrow();
    }

    @Override
    public String toString() {
        return repository + tag.map(name -> ":" + name).orElse("") + digest.map(name -> "@" + name).orElse("");
    }
}
