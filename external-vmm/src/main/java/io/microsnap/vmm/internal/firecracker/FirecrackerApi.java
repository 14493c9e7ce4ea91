package io.microsnap.vmm.internal.firecracker;

import io.microsnap.core.SnapshotException;
import io.microsnap.vmm.internal.wire.HttpConnection;
import io.microsnap.vmm.internal.wire.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;

/** Makes the calls of Firecracker's API that a snapshot needs. */
public final class FirecrackerApi {
    /** The request that lets a guest run: method, path and body. */
    public static final String RESUME = "PATCH /vm {\"state\":\"Resumed\"}";

    private static final String FAULT = "fault_message";

    private final HttpConnection http;
    private final Duration patience;

    /** Makes calls over this connection, with this time limit for each answer. */
    public FirecrackerApi(HttpConnection http, Duration patience) {
        this.http = http;
        this.patience = patience;
    }

    /** Returns its release. */
    public Version version() throws IOException {
        return Version.parse(get("/version").get("firecracker_version").text());
    }

    /** Returns {@code Not started}, {@code Running} or {@code Paused}. */
    public String state() throws IOException {
        return get("/").get("state").text();
    }

    /** Returns the guest's whole configuration. */
    public Json configuration() throws IOException {
        return get("/vm/config");
    }

    /** Pauses the guest; one that is paused stays so. */
    public void pause() throws IOException {
        call("PATCH", "/vm", Map.of("state", "Paused"), patience);
    }

    /** Lets the guest run; a running guest keeps running. */
    public void resume() throws IOException {
        call("PATCH", "/vm", Map.of("state", "Resumed"), patience);
    }

    /** Makes Firecracker write a paused guest to two files, whose paths are the ones it sees. */
    public void create(boolean changesOnly, String state, String memory, Duration longest) throws IOException {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("snapshot_type", changesOnly ? "Diff" : "Full");
        body.put("snapshot_path", state);
        body.put("mem_file_path", memory);
        call("PUT", "/snapshot/create", body, longest);
    }

    /** Loads two files into a fresh process; the guest is then paused. */
    public void load(String state, String memory) throws IOException {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("snapshot_path", state);
        body.put("mem_backend", Map.of("backend_type", "File", "backend_path", memory));
        body.put("resume_vm", false);
        call("PUT", "/snapshot/load", body, patience);
    }

    private Json get(String path) throws IOException {
        HttpConnection.Answer answer = http.send("GET", path, "", patience);
        Json body = Json.parse(http.socket() + ": the answer to GET " + path,
                answer.body().getBytes(StandardCharsets.UTF_8));
        if (!answer.isSuccess()) {
            throw refused("GET", path, answer);
        }
        return body;
    }

    private void call(String method, String path, Map<String, ?> body, Duration longest) throws IOException {
        HttpConnection.Answer answer = http.send(method, path, Json.write(body, false), longest);
        if (!answer.isSuccess()) {
            throw refused(method, path, answer);
        }
    }

    private SnapshotException refused(String method, String path, HttpConnection.Answer answer) {
        String why = answer.bodyText();
        try {
            why = Json.parse("", answer.body().getBytes(StandardCharsets.UTF_8)).get(FAULT).text();
        } catch (SnapshotException noFault) {
            // Not the documented form: quote the answer as it is.
            why = why.isEmpty() ? "it gives no reason" : why;
        }
        return new SnapshotException(http.socket() + ": Firecracker refused " + method + " " + path + " (status "
                + answer.status() + "): " + why.replaceAll("\\p{Cntrl}+", " "));
    }
}
