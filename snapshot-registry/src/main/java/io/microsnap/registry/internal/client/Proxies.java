package io.microsnap.registry.internal.client;

import io.microsnap.core.SnapshotException;
import io.microsnap.store.internal.Printable;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** The proxies that {@code HTTPS_PROXY}, {@code HTTP_PROXY} and {@code NO_PROXY} name, which the JDK ignores. */
final class Proxies extends ProxySelector {
    private static final int HTTP_PORT = 80;

    private final Optional<InetSocketAddress> forHttps;
    private final Optional<InetSocketAddress> forHttp;
    private final List<String> without;

    Proxies(Map<String, String> environment) throws SnapshotException {
        forHttps = proxy(environment, "HTTPS_PROXY");
        forHttp = proxy(environment, "HTTP_PROXY");
        without = new ArrayList<>();
        for (String host : value(environment, "NO_PROXY").orElse("").split(",", -1)) {
            if (!host.isBlank()) {
                without.add(host.strip().toLowerCase(Locale.ROOT));
            }
        }
    }

    private static Optional<String> value(Map<String, String> environment, String name) {
        String value = environment.getOrDefault(name, environment.get(name.toLowerCase(Locale.ROOT)));
        return Optional.ofNullable(value).filter(text -> !text.isBlank());
    }

    private static Optional<InetSocketAddress> proxy(Map<String, String> environment, String name)
            throws SnapshotException {
        Optional<String> value = value(environment, name);
        if (value.isEmpty()) {
            return Optional.empty();
        }
        String text = value.get().contains("://") ? value.get() : "http://" + value.get();
        try {
            URI address = URI.create(text);
            if (address.getUserInfo() != null) {
                throw new SnapshotException(name + " names a user; proxies that ask for credentials are not supported:"
                        + " use one that does not");
            }
            if (!"http".equals(address.getScheme()) || address.getHost() == null) {
                throw new SnapshotException(name + " is '" + Printable.of(value.get())
                        + "'; it has the form http://host:port");
            }
            return Optional.of(InetSocketAddress.createUnresolved(address.getHost(),
                    address.getPort() < 0 ? HTTP_PORT : address.getPort()));
        } catch (IllegalArgumentException e) {
            throw new SnapshotException(name + " is no address: it has the form http://host:port", e);
        }
    }

    @Override
    public List<Proxy> select(URI address) {
        Optional<InetSocketAddress> proxy = "https".equals(address.getScheme()) ? forHttps : forHttp;
        if (proxy.isEmpty() || isWithout(address)) {
            return List.of(Proxy.NO_PROXY);
        }
        InetSocketAddress named = proxy.get();
        return List.of(new Proxy(Proxy.Type.HTTP, new InetSocketAddress(named.getHostString(), named.getPort())));
    }

    private boolean isWithout(URI address) {
        String host = address.getHost().toLowerCase(Locale.ROOT);
        if (Endpoint.isLoopback(host)) {
            return true;
        }
        for (String pattern : without) {
            String name = pattern.startsWith("*.") ? pattern.substring(1) : pattern;
            String suffix = name.startsWith(".") ? name : "." + name;
            if (name.equals("*") || host.equals(name) || host.endsWith(suffix)
                    || (host + ":" + address.getPort()).equals(name)) {
                return true;
            }
        }
        return false;
    }

    @Override
    public void connectFailed(URI address, SocketAddress proxy, IOException failure) {
        // The request itself reports the failure.
    }
}
