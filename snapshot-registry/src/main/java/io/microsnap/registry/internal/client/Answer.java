package io.microsnap.registry.internal.client;

import java.net.URI;
import java.net.http.HttpHeaders;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * A server's answer.
 *
 * @param address the last address, after redirects
 * @param status the HTTP status
 * @param headers the headers
 * @param receivedBytes how long the body was
 * @param refusal the start of the body, if the answer is not a success
 */
@SuppressWarnings("ArrayRecordComponent") // Read once, never compared.
record Answer(URI address, int status, HttpHeaders headers, long receivedBytes, byte[] refusal) {
    boolean isSuccess() {
        return status >= 200 && status < 300;
    }

    boolean isRedirect() {
        return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    }

    /** Returns whether the same request may succeed later. */
    boolean isTemporary() {
        return status == 429 || (status >= 500 && status != 501 && status != 505);
    }

    Optional<String> header(String name) {
        return headers.firstValue(name);
    }

    /** Returns the refusal as text. */
    String refusalText() {
        return new String(refusal, StandardCharsets.UTF_8);
    }
}
