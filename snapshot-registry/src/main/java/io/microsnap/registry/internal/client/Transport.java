package io.microsnap.registry.internal.client;

import io.microsnap.core.SnapshotException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Makes one HTTP request at a time for each caller, and enforces time limits: the JDK's own limit covers only the
 * headers. It follows no redirects and retries nothing. Any number of threads may use it.
 */
final class Transport implements AutoCloseable {
    private static final Duration CONNECT = Duration.ofSeconds(20);
    private static final long CHECKS_IN_SILENCE = 8;
    private static final long LONGEST_CHECK_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final HttpClient client;
    private final Patience patience;

    Transport(ClientOptions options) throws IOException {
        patience = options.patience();
        HttpClient.Builder builder = HttpClient.newBuilder()
                // Over plain HTTP the client would request an upgrade to HTTP/2, which breaks some servers.
                .version(HttpClient.Version.HTTP_1_1)
                // The client's own redirects keep Range and drop Authorization whatever the origin.
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(CONNECT.compareTo(patience.silence()) < 0 ? CONNECT : patience.silence())
                .proxy(new Proxies(options.environment()));
        if (options.caFile().isPresent()) {
            builder.sslContext(Certificates.trusting(options.caFile().get()));
        }
        client = builder.build();
    }

    /**
     * One request.
     *
     * @param method GET, HEAD, POST, PUT or DELETE
     * @param address the target
     * @param headers in addition to those that HTTP needs
     * @param body to send
     */
    record Request(String method, URI address, Map<String, String> headers, Optional<Body> body) {
    }

    /** Makes a request; the sink receives the body of a success. */
    Answer send(Request request, Sink sink) throws IOException {
        Watch watch = new Watch();
        HttpRequest.Builder builder = HttpRequest.newBuilder(request.address())
                .method(request.method(), publisher(request, watch));
        request.headers().forEach(builder::header);
        Receiver.Handler handler = new Receiver.Handler(sink, watch);
        CompletableFuture<HttpResponse<Receiver.Body>> exchange = client.sendAsync(builder.build(), handler);
        Duration limit = patience.limit(request.body().map(Body::lengthBytes).orElse(0L) + sink.mostBytes());
        HttpResponse<Receiver.Body> response = await(exchange, watch, limit, request);
        return new Answer(request.address(), response.statusCode(), response.headers(),
                response.body().receivedBytes(), response.body().refusal());
    }

    private static BodyPublisher publisher(Request request, Watch watch) {
        if (request.body().isEmpty()) {
            return BodyPublishers.noBody();
        }
        Body body = request.body().get();
        if (body.lengthBytes() == 0) {
            return BodyPublishers.noBody();
        }
        return BodyPublishers.fromPublisher(BodyPublishers.ofInputStream(() -> {
            try {
                return watched(body.source().open(), watch);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }), body.lengthBytes());
    }

    private static InputStream watched(InputStream stream, Watch watch) {
        return new FilterInputStream(stream) {
            @Override
            public int read() throws IOException {
                watch.moved();
                return super.read();
            }

            @Override
            public int read(byte[] target, int from, int count) throws IOException {
                watch.moved();
                return super.read(target, from, count);
            }
        };
    }

    private HttpResponse<Receiver.Body> await(CompletableFuture<HttpResponse<Receiver.Body>> exchange, Watch watch,
            Duration limit, Request request) throws IOException {
        long start = System.nanoTime();
        long silenceNanos = patience.silence().toNanos();
        long check = Math.min(LONGEST_CHECK_NANOS, silenceNanos / CHECKS_IN_SILENCE + 1);
        boolean finished = false;
        try {
            while (true) {
                try {
                    HttpResponse<Receiver.Body> response = exchange.get(check, TimeUnit.NANOSECONDS);
                    finished = true;
                    return response;
                } catch (TimeoutException e) {
                    long now = System.nanoTime();
                    if (now - watch.lastMoved() > silenceNanos) {
                        throw new HttpTimeoutException("no byte moved for " + patience.silence().toSeconds()
                                + " s in " + request.method() + " " + Endpoint.shown(request.address()));
                    }
                    if (now - start > limit.toNanos()) {
                        throw new HttpTimeoutException(request.method() + " " + Endpoint.shown(request.address())
                                + " took longer than " + limit.toSeconds() + " s, slower than "
                                + patience.leastBytesPerSecond() + " bytes a second");
                    }
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new SnapshotException("interrupted during " + request.method() + " "
                    + Endpoint.shown(request.address()), e);
        } catch (ExecutionException e) {
            finished = true;
            throw cause(e, request);
        } finally {
            if (!finished) {
                exchange.cancel(true);
            }
        }
    }

    private static IOException cause(ExecutionException failure, Request request) {
        return switch (failure.getCause()) {
            case SnapshotException ours -> ours;
            case UncheckedIOException unchecked -> unchecked.getCause();
            case IOException io when io.getCause() instanceof SnapshotException ours -> ours;
            case IOException io -> io;
            case Throwable other -> new IOException(request.method() + " " + Endpoint.shown(request.address())
                    + " failed", other);
        };
    }

    @Override
    public void close() {
        client.shutdownNow();
        client.close();
    }

    /** When a byte last moved. */
    static final class Watch {
        private volatile long lastMoved = System.nanoTime();

        void moved() {
            lastMoved = System.nanoTime();
        }

        long lastMoved() {
            return lastMoved;
        }
    }
}
