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

    /** Makes calls over this connection, with this time limit for each answer. */
    public CloudApi(HttpConnection http, Duration patience) {
        this.http = http;
        this.patience = patience;
    }

    /** Returns configuration and state of the guest. */
    public Json info() throws IOException {
        HttpConnection.Answer answer = http.send("GET", "/api/v1/vm.info", "", patience);
        if (!answer.isSuccess()) {
            throw refused("vm.info", answer);
        }
        return Json.parse(http.socket() + ": the answer to vm.info", answer.body().getBytes(StandardCharsets.UTF_8));
    }

    /** Returns whether it has a guest. */
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

    /** Makes Cloud Hypervisor write a paused guest to a directory, whose path is the one it sees. */
    public void snapshot(String directory, Duration longest) throws IOException {
        call("vm.snapshot", Json.write(Map.of("destination_url", "file://" + directory), false), longest);
    }

    /** Loads a guest from a directory; the guest is then paused. */
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
            // Not the documented form: quote the answer as it is.
            why = answer.bodyText();
        }
        return new SnapshotException(http.socket() + ": Cloud Hypervisor refused " + name + " (status "
                + answer.status() + "): " + (why.isEmpty() ? "it gives no"
                + " reason" : why.replaceAll("\\p{Cntrl}+", " ")));
    }
}
