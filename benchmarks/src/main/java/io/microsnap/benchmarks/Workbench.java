package io.microsnap.benchmarks;

import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.Scratch;
import io.microsnap.testsupport.ScratchFs;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/** What a scenario works with: real file systems and C peers, all gone when the scenario ends. */
public final class Workbench implements AutoCloseable {

    /** Headers that any peer may include. */
    private static final String[] PEER_HEADERS =
            {"/io/microsnap/benchmarks/peer.h", "/io/microsnap/benchmarks/checksum.h"};

    private final Deque<AutoCloseable> toClose = new ArrayDeque<>();
    private ScratchFs scratchFs;

    Workbench() {
    }

    /** This machine lacks what the scenario needs. */
    static final class UnavailableException extends Exception {

        private static final long serialVersionUID = 1L;

        UnavailableException(String reason) {
            super(reason);
        }
    }

    /** An empty directory on a new file system of that kind. */
    public Path directory(FileSystemKind kind) throws Exception {
        return Files.createTempDirectory(available(scratchFs().fileSystem(kind)), "bench-");
    }

    /** A new block device with direct I/O. */
    public Path blockDevice(long sizeBytes) throws Exception {
        return available(scratchFs().blockDevice(sizeBytes));
    }

    /** The C program in {@code source}, a resource beside {@code owner} that includes {@code peer.h}, running. */
    public Contestant peer(Class<?> owner, String source, Object... arguments) throws Exception {
        CCompiler compiler = CCompiler.find().orElseThrow(() -> new UnavailableException("there is no C compiler"));
        Path program = compiler.program(owner, source, PEER_HEADERS);
        return closeLater(new CPeer(program, List.of(arguments).stream().map(String::valueOf).toList()));
    }

    /** Closes it when the scenario ends, the last one given first. */
    public <T extends AutoCloseable> T closeLater(T resource) {
        toClose.push(resource);
        return resource;
    }

    /**
     * Touches that much memory and gives it back. A virtual machine's host backs a page at its first touch, which takes
     * ten times as long as any later one; whoever runs first would pay for both.
     */
    void warm(long bytes) throws IOException {
        Path file = Files.createTempFile("microsnap-warm-", ".tmp");
        try (OutputStream out = Files.newOutputStream(file)) {
            byte[] chunk = new byte[1 << 20];
            for (long done = 0; done < bytes; done += chunk.length) {
                out.write(chunk);
            }
        } finally {
            Files.delete(file);
        }
    }

    private ScratchFs scratchFs() {
        if (scratchFs == null) {
            scratchFs = closeLater(ScratchFs.start());
        }
        return scratchFs;
    }

    private static Path available(Scratch scratch) throws UnavailableException {
        return switch (scratch) {
            case Scratch.Ready ready -> ready.path();
            case Scratch.Unavailable unavailable -> throw new UnavailableException(unavailable.toString());
        };
    }

    @Override
    public void close() throws IOException {
        IOException failure = null;
        while (!toClose.isEmpty()) {
            try {
                toClose.pop().close();
            } catch (Exception e) {
                if (failure == null) {
                    failure = new IOException("not everything could be cleaned up", e);
                } else {
                    failure.addSuppressed(e);
                }
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
