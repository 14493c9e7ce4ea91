package io.microsnap.registry.internal.client;

import io.microsnap.core.DamagedException;
import io.microsnap.core.SnapshotException;
import io.microsnap.registry.internal.client.Transport.Request;
import io.microsnap.registry.internal.format.Artifact;
import io.microsnap.registry.internal.format.Blob;
import io.microsnap.registry.internal.format.Digest;
import io.microsnap.registry.internal.format.MediaTypes;
import io.microsnap.store.internal.Printable;
import io.microsnap.store.internal.StrictJson;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.ConnectException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.UnknownHostException;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLException;

/**
 * One repository of a registry. Each method retries temporary refusals and broken connections, with growing pauses. Any
 * number of threads may use it.
 */
public final class RegistryClient implements AutoCloseable {
    private static final int MOST_REDIRECTS = 5;
    private static final int MOST_PAGES_OF_TAGS = 10_000;
    private static final int MOST_TAGS = 1_000_000;
    private static final int LARGEST_TAGS = 8 << 20;
    private static final Pattern CONTENT_RANGE = Pattern.compile("bytes (\\d{1,18})-(\\d{1,18})/(\\d{1,18}|\\*)");
    private static final Pattern NEXT = Pattern.compile("<([^>]{1,2048})>\\s*;\\s*rel=\"?next\"?");

    private final Endpoint registry;
    private final String name;
    private final String repository;
    private final ClientOptions options;
    private final Transport transport;
    private final Authorizer authorizer;
    private final AtomicLong sentBytes = new AtomicLong();
    private final AtomicLong receivedBytes = new AtomicLong();

    private RegistryClient(Endpoint registry, String name, String repository, ClientOptions options)
            throws IOException {
        this.registry = registry;
        this.name = name;
        this.repository = repository;
        this.options = options;
        transport = new Transport(options);
        authorizer = new Authorizer(registry, name, options, transport);
    }

    /**
     * Makes a client. Sends nothing yet. It uses HTTP without TLS for this machine, unless a file of certificates is
     * given, and for others only if the options allow it.
     *
     * @param name the registry's host and perhaps port
     * @param repository the repository's name, in the form that OCI allows
     */
    public static RegistryClient of(String name, String repository, ClientOptions options) throws IOException {
        Endpoint secure = Endpoint.of(URI.create("https://" + name));
        boolean plain = options.plainHttp() || (secure.isLoopback() && options.caFile().isEmpty());
        Endpoint registry = plain ? Endpoint.of(URI.create("http://" + name)) : secure;
        return new RegistryClient(registry, name, repository, options);
    }

    /**
     * A manifest, as it was served.
     *
     * @param bytes the document
     * @param digest of the document, computed here
     */
    @SuppressWarnings("ArrayRecordComponent") // Parsed once, never compared.
    public record ServedManifest(byte[] bytes, Digest digest) {
    }

    /** How a blob got into the registry. */
    public enum Upload { THERE, MOUNTED, SENT }

    /** Names the repository in messages. */
    @Override
    public String toString() {
        return name + "/" + repository;
    }

    /** Returns the repository's name within its registry. */
    public String repository() {
        return repository;
    }

    /** Returns how many bytes of blobs were sent. */
    public long sentBytes() {
        return sentBytes.get();
    }

    /** Returns how many bytes of blobs were received. */
    public long receivedBytes() {
        return receivedBytes.get();
    }

    /**
     * Fetches a manifest by its tag or digest; empty if the registry has none.
     *
     * @throws DamagedException if its digest is not the requested one
     */
    public Optional<ServedManifest> manifest(String tagOrDigest) throws IOException {
        ByteArrayOutputStream document = new ByteArrayOutputStream();
        Answer answer = retried("the manifest " + tagOrDigest, () -> {
            document.reset();
            return ask(new Request("GET", at("/manifests/" + tagOrDigest), Map.of("Accept", MediaTypes.MANIFEST
                    + ", application/vnd.oci.image.index.v1+json"), Optional.empty()), Scope.PULL,
                    Sink.into(document, Artifact.LARGEST_BYTES));
        });
        if (answer.status() == 404) {
            return Optional.empty();
        }
        require(answer, 200, "the manifest " + tagOrDigest + " cannot be fetched");
        Digest digest = Digest.of(document.toByteArray());
        if (tagOrDigest.startsWith("sha256:") && !digest.toString().equals(tagOrDigest)) {
            throw new DamagedException(this + " serves a manifest with digest " + digest + " where " + tagOrDigest
                    + " was requested; do not trust it");
        }
        return Optional.of(new ServedManifest(document.toByteArray(), digest));
    }

    /**
     * Stores a manifest under a tag or its digest. A registry that stored other bytes, because something changed them
     * on their way, is sent the manifest again.
     *
     * @throws BlobsUnknownException if the registry lacks a blob that it names
     */
    public void putManifest(String tagOrDigest, byte[] manifest) throws IOException {
        String digest = Digest.of(manifest).toString();
        Answer answer = retried("the manifest " + tagOrDigest, () -> {
            Answer put = ask(new Request("PUT", at("/manifests/" + tagOrDigest),
                    Map.of("Content-Type", MediaTypes.MANIFEST), Optional.of(Body.of(manifest))), Scope.PUSH,
                    nothing());
            String stored = put.header("Docker-Content-Digest").orElse(digest);
            if (put.isSuccess() && !stored.equals(digest)) {
                throw new TemporaryException("the registry has stored a manifest with digest "
                        + Printable.of(stored) + " under " + tagOrDigest + ", but " + digest + " was sent");
            }
            return put;
        });
        if (Refusals.isBlobUnknown(answer)) {
            throw new BlobsUnknownException(this + " lacks blobs of the manifest " + tagOrDigest
                    + ", although it had them all: its garbage collection removes blobs during the push");
        }
        requireSuccess(answer, "the manifest " + tagOrDigest + " cannot be stored");
    }

    /** Returns whether the registry has a blob. */
    public boolean hasBlob(Blob blob) throws IOException {
        Answer answer = retried("blob " + blob.digest(), () -> ask(new Request("HEAD", at("/blobs/" + blob.digest()),
                Map.of(), Optional.empty()), Scope.PULL, nothing()));
        if (answer.status() == 404) {
            return false;
        }
        require(answer, 200, "blob " + blob.digest() + " cannot be looked up");
        Optional<String> length = answer.header("Content-Length");
        if (length.isPresent() && !length.get().equals(Long.toString(blob.lengthBytes()))) {
            throw new DamagedException(this + " has blob " + blob.digest() + " with " + Printable.of(length.get())
                    + " bytes, but it has " + blob.lengthBytes());
        }
        return true;
    }

    /**
     * Fills memory with a range of a blob. The bytes are what the registry sent: the caller checks them.
     *
     * @throws DamagedException if the blob has another length than it should, or less is sent
     */
    public void fetch(Blob blob, long offset, MemorySegment target) throws IOException {
        long last = offset + target.byteSize() - 1;
        String what = "bytes " + offset + " to " + (last + 1) + " of blob " + blob.digest();
        boolean whole = offset == 0 && target.byteSize() == blob.lengthBytes();
        Map<String, String> headers = whole ? Map.of() : Map.of("Range", "bytes=" + offset + "-" + last);
        Answer answer = retried(what, () -> {
            Answer fetched = ask(new Request("GET", at("/blobs/" + blob.digest()), headers, Optional.empty()),
                    Scope.PULL, Sink.into(target));
            if (fetched.isSuccess() && fetched.receivedBytes() < target.byteSize()) {
                throw new TemporaryException(what + ": only " + fetched.receivedBytes() + " bytes were sent");
            }
            return fetched;
        });
        if (answer.status() == 404) {
            throw new SnapshotException(this + " has no blob " + blob.digest()
                    + " any more, which the snapshot needs; its garbage collection removed it: push the snapshot"
                    + " again");
        }
        require(answer, whole ? 200 : 206, what + " cannot be fetched" + (whole ? "" : " as a range"));
        if (!whole) {
            requireRange(answer, blob, offset, last);
        }
        receivedBytes.addAndGet(target.byteSize());
    }

    private void requireRange(Answer answer, Blob blob, long first, long last) throws DamagedException {
        Matcher range = CONTENT_RANGE.matcher(answer.header("Content-Range").orElse(""));
        boolean asked = range.matches() && Long.parseLong(range.group(1)) == first
                && Long.parseLong(range.group(2)) == last
                && (range.group(3).equals("*") || Long.parseLong(range.group(3)) == blob.lengthBytes());
        if (!asked) {
            throw new DamagedException(this + " does not serve bytes " + first + " to " + (last + 1) + " of the "
                    + blob.lengthBytes() + " of blob " + blob.digest() + ", but '"
                    + Printable.of(answer.header("Content-Range").orElse("no range")) + "'");
        }
    }

    /** Fetches a small blob whole, and checks its digest. */
    public byte[] fetchSmall(Blob blob, int largestBytes) throws IOException {
        if (blob.lengthBytes() > largestBytes) {
            throw new DamagedException("blob " + blob.digest() + " of " + this + " has " + blob.lengthBytes()
                    + " bytes; at most " + largestBytes + " are allowed for its kind");
        }
        byte[] content = new byte[(int) blob.lengthBytes()];
        if (content.length > 0) {
            fetch(blob, 0, MemorySegment.ofArray(content));
        }
        if (!Digest.of(content).equals(blob.digest())) {
            throw new DamagedException(this + " serves other bytes than those of blob " + blob.digest());
        }
        return content;
    }

    /**
     * Brings a blob into the registry: looks it up, else mounts it from one of the other repositories, else sends it in
     * one piece.
     */
    public Upload upload(Blob blob, Body body, List<String> otherRepositories) throws IOException {
        if (hasBlob(blob)) {
            return Upload.THERE;
        }
        for (String other : otherRepositories) {
            if (mount(blob, other)) {
                return Upload.MOUNTED;
            }
        }
        Answer answer = retried("blob " + blob.digest(), () -> send(blob, body));
        requireSuccess(answer, "blob " + blob.digest() + " cannot be stored");
        sentBytes.addAndGet(blob.lengthBytes());
        return Upload.SENT;
    }

    /** Mounts a blob from another repository of the registry; returns false if the registry does not. */
    public boolean mount(Blob blob, String otherRepository) throws IOException {
        Answer answer = retried("blob " + blob.digest(), () -> ask(new Request("POST",
                at("/blobs/uploads/?mount=" + blob.digest() + "&from="
                        + URLEncoder.encode(otherRepository, StandardCharsets.UTF_8)), Map.of(), Optional.empty()),
                Scope.PUSH, nothing()));
        if (answer.status() == 202) {
            // The registry has begun an upload instead, which will not be used.
            Optional<String> session = answer.header("Location");
            if (session.isPresent()) {
                ask(new Request("DELETE", location(answer), Map.of(), Optional.empty()), Scope.PUSH, nothing());
            }
        }
        return answer.status() == 201;
    }

    /**
     * Sends with one POST and one PUT. An interrupted upload starts again, because some registries lose its beginning.
     */
    private Answer send(Blob blob, Body body) throws IOException {
        Answer begun = ask(new Request("POST", at("/blobs/uploads/"), Map.of(), Optional.empty()), Scope.PUSH,
                nothing());
        if (begun.status() != 202) {
            return begun;
        }
        URI session = location(begun);
        String separator = session.getRawQuery() == null ? "?" : "&";
        URI complete = URI.create(session + separator + "digest=" + blob.digest());
        return ask(new Request("PUT", complete, Map.of("Content-Type", "application/octet-stream"),
                Optional.of(body)), Scope.PUSH, nothing());
    }

    private URI location(Answer answer) throws SnapshotException {
        String location = answer.header("Location").orElseThrow(
                () -> new SnapshotException(this + " begins an upload without naming its address"));
        return target(answer.address(), location);
    }

    /** Names every tag of the repository, in the registry's order. */
    public List<String> tags() throws IOException {
        List<String> tags = new ArrayList<>();
        URI next = at("/tags/list");
        for (int page = 0; page < MOST_PAGES_OF_TAGS; page++) {
            URI address = next;
            ByteArrayOutputStream document = new ByteArrayOutputStream();
            Answer answer = retried("the list of tags", () -> {
                document.reset();
                return ask(new Request("GET", address, Map.of(), Optional.empty()), Scope.PULL,
                        Sink.into(document, LARGEST_TAGS));
            });
            if (answer.status() == 404) {
                throw new SnapshotException("there is no repository " + this);
            }
            require(answer, 200, "the tags of " + this + " cannot be listed");
            readTags(document.toByteArray(), tags);
            Matcher link = NEXT.matcher(answer.header("Link").orElse(""));
            if (!link.find()) {
                return tags;
            }
            next = target(address, link.group(1));
            if (!Endpoint.of(next).equals(registry)) {
                throw new SnapshotException(this + " continues its list of tags elsewhere, at "
                        + Endpoint.shown(next));
            }
        }
        throw new DamagedException(this + " lists tags without an end");
    }

    private void readTags(byte[] document, List<String> tags) throws DamagedException {
        StrictJson.read("the list of tags of " + this, document, json -> key -> {
            if (!key.equals("tags") || json.isNull()) {
                return json.skip();
            }
            json.array(() -> {
                if (tags.size() >= MOST_TAGS) {
                    throw json.refused("there are more than " + MOST_TAGS + " tags");
                }
                tags.add(json.string());
            });
            return true;
        });
    }

    private URI at(String path) {
        return URI.create(registry + "/v2/" + repository + path);
    }

    private static Sink nothing() {
        // The body of a success is not needed.
        return Sink.into(new ByteArrayOutputStream(), LARGEST_TAGS);
    }

    private enum Scope {
        PULL("pull"), PUSH("pull,push");

        private final String actions;

        Scope(String actions) {
            this.actions = actions;
        }

        String of(String repository) {
            return "repository:" + repository + ":" + actions;
        }
    }

    /** A failure that a retry may cure. */
    private static final class TemporaryException extends IOException {
        private static final long serialVersionUID = 1L;

        TemporaryException(String message) {
            super(message);
        }
    }

    @FunctionalInterface
    private interface Attempt {
        Answer make() throws IOException;
    }

    private Answer retried(String what, Attempt attempt) throws IOException {
        Patience patience = options.patience();
        for (int failed = 1;; failed++) {
            Duration asked = Duration.ZERO;
            SnapshotException failure;
            try {
                Answer answer = attempt.make();
                if (!answer.isTemporary()) {
                    return answer;
                }
                asked = retryAfter(answer);
                String reason = Refusals.text(answer);
                failure = new SnapshotException(this + " answers " + answer.status() + " to the request for " + what
                        + (reason.isEmpty() ? "" : ": " + reason) + tried(failed));
            } catch (SnapshotException certain) {
                throw certain;
            } catch (IOException broken) {
                failure = new SnapshotException(explained(broken, what) + tried(failed), broken);
                if (!mayPass(broken)) {
                    throw failure;
                }
            }
            if (failed >= patience.attempts()) {
                throw failure;
            }
            pause(patience.delay(failed), asked);
        }
    }

    private static String tried(int attempts) {
        return attempts == 1 ? "" : "; tried " + attempts + " times";
    }

    private String explained(IOException broken, String what) {
        String reason = switch (broken) {
            case ConnectException refused -> "no connection (" + (refused.getMessage() == null
                    ? "is it running, and is the port right?" : refused.getMessage()) + ")";
            case UnknownHostException unknown -> "no such host";
            case SSLException tls -> "TLS failed (" + tls.getMessage() + "); if its certificate is your own, name it"
                    + " with --ca-file";
            case HttpTimeoutException late -> String.valueOf(late.getMessage());
            default -> "the connection broke (" + broken.getMessage() + ")";
        };
        return "cannot reach " + this + " for " + what + ": " + Printable.whole(reason);
    }

    private static boolean mayPass(IOException broken) {
        return !(broken instanceof SSLException) && !(broken instanceof UnknownHostException);
    }

    private Duration retryAfter(Answer answer) {
        try {
            long seconds = Long.parseLong(answer.header("Retry-After").orElse("0").strip());
            return Duration.ofSeconds(Math.clamp(seconds, 0, options.patience().longestDelay().toSeconds()));
        } catch (NumberFormatException e) {
            return Duration.ZERO;
        }
    }

    private void pause(Duration delay, Duration asked) throws SnapshotException {
        try {
            Thread.sleep(asked.compareTo(delay) > 0 ? asked : delay);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new SnapshotException("interrupted while waiting for " + this, e);
        }
    }

    /** Makes one request, with the authorization that it needs, and follows allowed redirects. */
    private Answer ask(Request request, Scope scope, Sink sink) throws IOException {
        String wanted = scope.of(repository);
        Optional<String> header = authorizer.known(wanted);
        Answer answer = follow(request, header, sink);
        if (answer.status() == 401) {
            header.ifPresent(old -> authorizer.forget(wanted, old));
            String fresh = authorizer.answer(answer, wanted, header);
            answer = follow(request, Optional.of(fresh), sink);
            if (answer.status() == 401) {
                throw authorizer.refused();
            }
        }
        if (answer.status() == 403) {
            String reason = Refusals.text(answer);
            throw new SnapshotException(this + " forbids the request (403)" + (reason.isEmpty() ? "" : ": " + reason));
        }
        return answer;
    }

    private Answer follow(Request request, Optional<String> authorization, Sink sink) throws IOException {
        URI address = request.address();
        for (int redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
            Map<String, String> headers = new HashMap<>(request.headers());
            if (Endpoint.of(address).equals(registry)) {
                authorization.ifPresent(value -> headers.put("Authorization", value));
            }
            Answer answer = transport.send(new Request(request.method(), address, headers, request.body()), sink);
            boolean reads = request.method().equals("GET") || request.method().equals("HEAD");
            if (!answer.isRedirect() || !reads) {
                return answer;
            }
            address = target(address, answer.header("Location").orElseThrow(
                    () -> new SnapshotException(this + " redirects without naming an address")));
        }
        throw new SnapshotException(this + " redirects more than " + MOST_REDIRECTS + " times");
    }

    /**
     * Returns the target of a redirect: never from TLS to plain HTTP, and to plain HTTP only if that is allowed.
     */
    private URI target(URI from, String location) throws SnapshotException {
        URI address;
        try {
            address = from.resolve(location);
        } catch (IllegalArgumentException e) {
            throw new SnapshotException(this + " names an invalid address: " + Printable.of(location), e);
        }
        Endpoint host = Endpoint.of(address);
        if (registry.isSecure() && !host.isSecure()) {
            throw new SnapshotException(this + " redirects from TLS to plain HTTP, to " + Endpoint.shown(address)
                    + "; that is not followed");
        }
        if (!host.isSecure() && !host.isLoopback() && !options.plainHttp()) {
            throw new SnapshotException(this + " redirects to " + Endpoint.shown(address)
                    + ", which has no TLS; --plain-http allows that");
        }
        return address;
    }

    private void require(Answer answer, int status, String what) throws SnapshotException {
        if (answer.status() != status) {
            throw unexpected(answer, what);
        }
    }

    private void requireSuccess(Answer answer, String what) throws SnapshotException {
        if (!answer.isSuccess()) {
            throw unexpected(answer, what);
        }
    }

    private SnapshotException unexpected(Answer answer, String what) {
        String reason = Refusals.text(answer);
        return new SnapshotException(what + ": " + this + " answers with status " + answer.status()
                + (reason.isEmpty() ? "" : ", " + reason));
    }

    @Override
    public void close() {
        transport.close();
    }
}
