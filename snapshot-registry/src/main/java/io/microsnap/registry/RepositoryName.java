package io.microsnap.registry;

import io.microsnap.store.internal.Printable;
import java.util.regex.Pattern;

/**
 * Names a repository: {@code localhost:5000/team/guests}.
 *
 * @param registry the registry's host, and its port unless it is the default one
 * @param path the repository within the registry
 */
public record RepositoryName(String registry, String path) {
    private static final int LONGEST = 255;
    private static final Pattern REGISTRY = Pattern.compile(
            "(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\\[[0-9a-fA-F:]{2,39}])(?::[1-9][0-9]{0,4})?");
    private static final Pattern PART = Pattern.compile("[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*");

    /** Refuses any other form with {@link IllegalArgumentException}. */
    public RepositoryName {
        if (!REGISTRY.matcher(registry).matches()) {
            throw new IllegalArgumentException("'" + Printable.of(registry)
                    + "' names no registry: begin with a host, and a port if needed, as in localhost:5000/guests");
        }
        boolean wellFormed = path.length() <= LONGEST;
        for (String part : path.split("/", -1)) {
            wellFormed &= PART.matcher(part).matches();
        }
        if (!wellFormed) {
            throw new IllegalArgumentException("'" + Printable.of(path) + "' names no repository: lower-case letters"
                    + " and digits, between them '.', '_' or '-', in parts separated by '/'");
        }
    }

    /** Reads {@code HOST[:PORT]/PATH}. */
    public static RepositoryName parse(String text) {
        int slash = text.indexOf('/');
        if (slash < 0) {
            throw new IllegalArgumentException("'" + Printable.of(text)
                    + "' is not a repository: give HOST[:PORT]/NAME, as in localhost:5000/guests");
        }
        return new RepositoryName(text.substring(0, slash), text.substring(slash + 1));
    }

    @Override
    public String toString() {
        return registry + "/" + path;
    }
}
