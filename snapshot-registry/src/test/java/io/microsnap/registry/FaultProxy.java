package io.microsnap.registry;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Stands between a client and a registry and does harm at one byte of all that passes it in both directions: cuts the
 * connection there, or holds it up, or changes a byte. The harm is done once; what comes after passes unharmed.
 */
final class FaultProxy implements AutoCloseable {
    /** What happens at the byte. */
    enum Harm { CUT, DELAY, CORRUPT, CUT_EVERYTHING_FROM_HERE }

    private static final int PIECE = 16 << 10;
    private static final long DELAY_MILLIS = 30;

    private final ServerSocket listening = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    private final int target;
    private final AtomicLong passed = new AtomicLong();
    private final List<Long> requests = new CopyOnWriteArrayList<>();
    private final long at;
    private final Harm harm;
    private volatile boolean done;
    private volatile boolean dead;

    FaultProxy(String host, long at, Harm harm) throws IOException {
        target = Integer.parseInt(host.substring(host.indexOf(':') + 1));
        this.at = at;
        this.harm = harm;
        Thread.ofVirtual().start(this::accept);
    }

    String host() {
        return "127.0.0.1:" + listening.getLocalPort();
    }

    /** How many bytes have passed so far, both directions together. */
    long passedBytes() {
        return passed.get();
    }

    /** Where, among the bytes that have passed, the client's pieces began: its requests, and parts of long ones. */
    List<Long> requests() {
        return requests;
    }

    private void accept() {
        while (!listening.isClosed()) {
            try {
                Socket client = listening.accept();
                if (dead) {
                    client.close();
                    continue;
                }
                Socket server = new Socket(InetAddress.getLoopbackAddress(), target);
                Thread.ofVirtual().start(() -> pass(client, server, true));
                Thread.ofVirtual().start(() -> pass(server, client, false));
            } catch (IOException closed) {
                // The test is over, or the registry is gone.
            }
        }
    }

    private void pass(Socket from, Socket to, boolean requesting) {
        byte[] piece = new byte[PIECE];
        try (from; to) {
            InputStream input = from.getInputStream();
            OutputStream output = to.getOutputStream();
            for (int read = input.read(piece); read > 0; read = input.read(piece)) {
                long end = passed.addAndGet(read);
                if (requesting) {
                    requests.add(end - read);
                }
                int place = (int) (at - (end - read));
                if (!done && place >= 0 && place < read) {
                    done = true;
                    if (!harmAt(piece, place, output)) {
                        return;
                    }
                }
                output.write(piece, 0, read);
            }
        } catch (IOException broken) {
            // One side is gone; so is the other when this returns.
        }
    }

    /** Returns whether the connection goes on. */
    private boolean harmAt(byte[] piece, int place, OutputStream output) throws IOException {
        switch (harm) {
            case CORRUPT -> {
                piece[place] ^= 0x20;
                return true;
            }
            case DELAY -> {
                // The harm itself, and no synchronisation: bytes that come late.
                try {
                    Thread.sleep(DELAY_MILLIS);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
                return true;
            }
            default -> {
                output.write(piece, 0, place);
                dead = harm == Harm.CUT_EVERYTHING_FROM_HERE;
                return false;
            }
        }
    }

    @Override
    public void close() throws IOException {
        listening.close();
    }
}
