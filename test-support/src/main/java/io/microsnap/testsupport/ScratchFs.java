package io.microsnap.testsupport;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Real file systems and block devices, made on demand by {@code support/scratch-fs} and gone when this is closed, or
 * when this JVM dies, however it dies: the script cleans up as soon as its standard input closes.
 *
 * <p>Tests have the fixtures ({@link RealFileSystems}, {@link TinyFileSystem}, {@link LoopDevice}); this is for
 * programs.
 */
public final class ScratchFs implements AutoCloseable {

    private static final long SECONDS_TO_CLEAN_UP = 120;

    private final Process script;
    private final BufferedWriter requests;
    private final BufferedReader answers;
    private final Map<FileSystemKind, Scratch> mounted = new EnumMap<>(FileSystemKind.class);

    private ScratchFs(Process script) {
        this.script = script;
        this.requests = script.outputWriter();
        this.answers = script.inputReader();
    }

    /** Starts the script; nothing is mounted yet. */
    public static ScratchFs start() {
        try {
            return new ScratchFs(new ProcessBuilder(Checkout.scratchFs().toString(), "serve")
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The top directory of a file system of that kind: mounted once, then shared by all who ask. */
    public synchronized Scratch fileSystem(FileSystemKind kind) {
        return mounted.computeIfAbsent(kind, wanted -> make(wanted.scratchName()));
    }

    /** The top directory of a new file system of that kind and size, used by this caller alone. */
    public synchronized Scratch newFileSystem(FileSystemKind kind, long sizeBytes) {
        return make(kind.scratchName() + ":" + sizeBytes);
    }

    /** A new ext4 of 16 MiB, to be filled up. */
    public synchronized Scratch tinyFileSystem() {
        return make("tiny");
    }

    /** A new block device, all zero, whose backing file is read and written with direct I/O. */
    public synchronized Scratch blockDevice(long sizeBytes) {
        return make("loop:" + sizeBytes);
    }

    /** Takes away what {@link #tinyFileSystem} or {@link #blockDevice} gave. */
    public synchronized void drop(Path path) {
        String answer = ask("drop " + path);
        if (!answer.equals("dropped")) {
            throw new IllegalStateException("scratch-fs did not drop " + path + ": " + answer);
        }
    }

    private Scratch make(String what) {
        String[] answer = ask("make " + what).split("\t", -1);
        return switch (answer[0]) {
            case "ready" -> new Scratch.Ready(Path.of(answer[1]));
            case "unavailable" -> new Scratch.Unavailable(answer[1], answer[2]);
            default -> throw new IllegalStateException(
                    "scratch-fs could not make " + what + ": " + String.join(" ", answer));
        };
    }

    private String ask(String request) {
        try {
            requests.write(request + "\n");
            requests.flush();
            String answer = answers.readLine();
            if (answer == null) {
                throw new IOException("scratch-fs ended before it answered: " + request);
            }
            return answer;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Unmounts, detaches and removes everything; returns when that is done. */
    @Override
    public synchronized void close() throws IOException {
        requests.close();
        try {
            if (!script.waitFor(SECONDS_TO_CLEAN_UP, TimeUnit.SECONDS)) {
                throw new IOException("scratch-fs (process " + script.pid() + ") is still cleaning up after "
                        + SECONDS_TO_CLEAN_UP + " s; see support/scratch-fs list");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while scratch-fs cleans up");
        }
    }
}
