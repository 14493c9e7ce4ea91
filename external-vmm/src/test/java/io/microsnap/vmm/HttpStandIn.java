package io.microsnap.vmm;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * The HTTP server that Firecracker and Cloud Hypervisor have in common, strict: request and header lines of at most
 * 1,024 bytes, bodies with a Content-Length and of limited length, connections kept alive, no reason phrase.
 */
abstract class HttpStandIn implements AutoCloseable {
    /** What it does in the place of a call. */
    enum Fault {
        HANGS, DIES, TALKS_NONSENSE, TALKS_MUCH_NONSENSE, REFUSES
    }

    private static final int LONGEST_LINE = 1024;

    private final ServerSocketChannel server;
    private final int longestBody;
    private final List<String> calls = new ArrayList<>();
    private String faultyCall = "";
    private Fault fault = Fault.REFUSES;

    HttpStandIn(Path socket, int longestBody) throws IOException {
        this.longestBody = longestBody;
        server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(socket));
        Thread.ofVirtual().start(this::accept);
    }

    record Answer(int status, String body) {
        static final Answer DONE = new Answer(204, "");
    }

    /** Answers a call as the VMM would. */
    abstract Answer answer(String call, String body) throws IOException;

    /** As the VMM refuses a call. */
    abstract Answer refusal(String why);

    /** Does this the next time it is called so. */
    synchronized void failing(String call, Fault how) {
        faultyCall = call;
        fault = how;
    }

    synchronized List<String> calls() {
        return List.copyOf(calls);
    }

    private void accept() {
        while (server.isOpen()) {
            try {
                SocketChannel client = server.accept();
                Thread.ofVirtual().start(() -> serve(client));
            } catch (IOException closed) {
                return;
            }
        }
    }

    private void serve(SocketChannel client) {
        try (client) {
            InputStream input = new BufferedInputStream(Channels.newInputStream(client));
            OutputStream output = Channels.newOutputStream(client);
            for (String request = line(input); request != null; request = line(input)) {
                String[] words = request.split(" ", -1);
                if (words.length != 3 || !words[2].equals("HTTP/1.1")) {
                    throw new IOException("no request: " + request);
                }
                int length = 0;
                for (String header = line(input); !header.isEmpty(); header = line(input)) {
                    if (header.toLowerCase(Locale.ROOT).startsWith("content-length:")) {
                        length = Integer.parseInt(header.substring(header.indexOf(':') + 1).strip());
                    }
                }
                if (length > longestBody) {
                    throw new IOException("a body of " + length + " bytes");
                }
                String body = new String(input.readNBytes(length), StandardCharsets.UTF_8);
                reply(words[0] + " " + words[1], body, output);
            }
        } catch (IOException gone) {
            // The client, or this VMM.
        }
    }

    private static String line(InputStream input) throws IOException {
        StringBuilder line = new StringBuilder();
        for (int next = input.read(); next != '\n'; next = input.read()) {
            if (next < 0) {
                return null;
            }
            if (line.length() > LONGEST_LINE) {
                throw new IOException("a line of more than " + LONGEST_LINE + " bytes");
            }
            line.append((char) next);
        }
        return line.toString().stripTrailing();
    }

    private void reply(String call, String body, OutputStream output) throws IOException {
        Fault now = null;
        synchronized (this) {
            calls.add(call + (body.isEmpty() ? "" : " " + body));
            if ((call + body).contains(faultyCall) && !faultyCall.isEmpty()) {
                faultyCall = "";
                now = fault;
            }
        }
        Answer answer;
        switch (now) {
            case null -> answer = answer(call, body);
            case HANGS -> {
                return;
            }
            case DIES -> {
                server.close();
                throw new IOException("died");
            }
            case TALKS_NONSENSE -> {
                output.write("\u0001\u0002 nonsense\r\n\r\n".getBytes(StandardCharsets.UTF_8));
                return;
            }
            case TALKS_MUCH_NONSENSE -> {
                output.write("HTTP/1.1 200 \r\n".getBytes(StandardCharsets.UTF_8));
                output.write("x: y\r\n".repeat(2 << 20).getBytes(StandardCharsets.UTF_8));
                return;
            }
            case REFUSES -> answer = refusal("refused for a reason");
        }
        byte[] content = answer.body.getBytes(StandardCharsets.UTF_8);
        String length = answer.status == 204 ? ""
                : "Content-Type: application/json\r\nContent-Length: " + content.length + "\r\n";
        output.write(("HTTP/1.1 " + answer.status + " \r\nServer: stand-in\r\nConnection: keep-alive\r\n" + length
                + "\r\n").getBytes(StandardCharsets.UTF_8));
        output.write(content);
    }

    @Override
    public void close() throws IOException {
        server.close();
    }
}
