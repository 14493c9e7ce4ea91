package io.microsnap.vmm.internal.cloud;

import io.microsnap.core.SnapshotException;
import io.microsnap.vmm.internal.wire.HttpConnection;
import io.microsnap.vmm.internal.wire.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;

/** Makes the calls of Cloud Hypervisor's API that a snapshot needs. */
public final class CloudApi {
    /** The request that lets a guest run: method, path and body. */
    public static final String RESUME = "PUT /api/v1/vm.resume ";

    private final HttpConnection http;
    private final Duration patience;

    /** Calls over this connection, with this time limit for each answer. */
    public CloudApi(HttpConnection http, Duration patience) {
        this.http = http;
        this.patience = patience;
    }

    /** Configuration and state of the guest. */
    public Json info() throws IOException {
        HttpConnection.Answer answer = http.send("GET", "/api/v1/vm.info", "", patience);
        if (!answer.isSuccess()) {
            throw refused("vm.info", answer);
        }
        return Json.parse(http.socket() + ": the answer to vm.info", answer.body().getBytes(StandardCharsets.UTF_8));
    }

    /** Returns whether it has a guest at all. */
    public boolean hasGuest() throws IOException {
        return http.send("GET", "/api/v1/vm.info", "", patience).isSuccess();
    }

    /** Pauses a running guest. */
    public void pause() throws IOException {
        call("vm.pause", "", patience);
    }

    /** Lets a paused guest run. */
    public void resume() throws IOException {
        call("vm.resume", "", patience);
    }

    /** Has a paused guest written to a directory, named as Cloud Hypervisor sees it. */
    public void snapshot(String directory, Duration longest) throws IOException {
        call("vm.snapshot", Json.write(Map.of("destination_url", "file://" + directory), false), longest);
    }

    /** Loads a guest from a directory; it is paused then. */
    public void restore(String directory, Duration longest) throws IOException {
        call("vm.restore", Json.write(Map.of("source_url", "file://" + directory), false), longest);
    }

    private void call(String name, String body, Duration longest) throws IOException {
        HttpConnection.Answer answer = http.send("PUT", "/api/v1/" + name, body, longest);
        if (!answer.isSuccess()) {
            throw refused(name, answer);
        }
    }

    private SnapshotException refused(String name, HttpConnection.Answer answer) {
        String why;
        try {
            StringBuilder messages = new StringBuilder();
            for (Json message : Json.parse("", answer.body().getBytes(StandardCharsets.UTF_8)).list()) {
                messages.append(messages.isEmpty() ? "" : ": ").append(message.text());
            }
            why = messages.toString();
        } catch (SnapshotException notTheList) {
            // Not the documented shape: the message quotes the answer as it came.
            why = answer.bodyText();
        }
        return new SnapshotException(http.socket() + ": Cloud Hypervisor refused " + name + " (status "
                + answer.status() + "): " + (why.isEmpty() ? "it says no more" : why.replaceAll("\\p{Cntrl}+", " ")));
    }
}
