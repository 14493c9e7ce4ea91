package io.microsnap.registry.internal.client;

import io.microsnap.core.SnapshotException;
import io.microsnap.store.internal.Printable;
import java.net.URI;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * A host and port that speaks HTTP.
 *
 * @param scheme {@code http} or {@code https}
 * @param host its name or address, in lower case; an IPv6 address in brackets
 * @param port its port
 */
record Endpoint(String scheme, String host, int port) {
    private static final int HTTP_PORT = 80;
    private static final int HTTPS_PORT = 443;
    private static final Pattern LOOPBACK_ADDRESS = Pattern.compile("127\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}");

    /** Returns the endpoint of an address, which must be a complete web address. */
    static Endpoint of(URI address) throws SnapshotException {
        String scheme = address.getScheme() == null ? "" : address.getScheme().toLowerCase(Locale.ROOT);
        boolean secure = scheme.equals("https");
        if ((!secure && !scheme.equals("http")) || address.getHost() == null || address.getUserInfo() != null) {
            throw new SnapshotException("'" + shown(address) + "' is not the address of a registry: give"
                    + " https://host/path, without a user");
        }
        int port = address.getPort() >= 0 ? address.getPort() : secure ? HTTPS_PORT : HTTP_PORT;
        return new Endpoint(scheme, address.getHost().toLowerCase(Locale.ROOT), port);
    }

    boolean isSecure() {
        return scheme.equals("https");
    }

    boolean isLoopback() {
        return isLoopback(host);
    }

    /** Returns whether a host's name alone says that it is this machine; does not resolve it. */
    static boolean isLoopback(String host) {
        return host.equals("localhost") || host.equals("[::1]") || LOOPBACK_ADDRESS.matcher(host).matches();
    }

    /** Returns an address without parts that may be secret. */
    static String shown(URI address) {
        String whole = address.getScheme() + "://" + address.getHost()
                + (address.getPort() < 0 ? "" : ":" + address.getPort()) + address.getPath();
        return Printable.of(whole);
    }

    @Override
    public String toString() {
        return scheme + "://" + host + ":" + port;
    }
}
