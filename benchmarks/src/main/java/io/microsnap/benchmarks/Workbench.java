package io.microsnap.benchmarks;

import io.microsnap.core.HugePages;
import io.microsnap.core.internal.file.Advice;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.Scratch;
import io.microsnap.testsupport.ScratchFs;
import java.io.IOException;
import java.lang.management.CompilationMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** What a scenario works with: real file systems and C peers, all gone when the scenario ends. */
public final class Workbench implements AutoCloseable {

    /** Headers that any peer may include. */
    private static final String[] PEER_HEADERS =
            {"/io/microsnap/benchmarks/peer.h", "/io/microsnap/benchmarks/checksum.h"};

    private static final int MOST_WARM_UPS = 400;
    private static final int QUIET_WARM_UPS = 30;

    private final Deque<AutoCloseable> toClose = new ArrayDeque<>();
    private final Set<Path> fileSystems = new HashSet<>();
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
        Path fileSystem = available(scratchFs().fileSystem(kind));
        if (kind != FileSystemKind.TMPFS) {
            fileSystems.add(fileSystem);
        }
        return Files.createTempDirectory(fileSystem, "bench-");
    }

    /** The top directory of a new file system of that kind and size. */
    public Path largeDirectory(FileSystemKind kind, long sizeBytes) throws Exception {
        Path fileSystem = available(scratchFs().newFileSystem(kind, sizeBytes));
        fileSystems.add(fileSystem);
        return fileSystem;
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
     * ten times as long as any later one, and may take back what is free for a second or two: without this, the one
     * that happens upon such memory pays for it.
     */
    static void warm(long bytes) throws IOException {
        if (bytes == 0) {
            return;
        }
        try (Mapping memory = Mapping.anonymous(Posix.host(), bytes, HugePages.TRANSPARENT)) {
            memory.advise(0, bytes, Advice.POPULATE_WRITE);
        }
    }

    /**
     * Makes sure that nothing is left to do for the run before. Writing back is not enough: file systems write their
     * own structures back and free deleted files in the background, for seconds, and on XFS a program that shares
     * blocks meanwhile waits for that. Freezing a file system ends it.
     */
    void settle() throws IOException, InterruptedException {
        command("sync");
        for (Path fileSystem : fileSystems) {
            // In one process, so that no file system stays frozen when this one dies.
            command("sh", "-c", "fsfreeze --freeze \"$1\" && fsfreeze --unfreeze \"$1\"", "sh",
                    fileSystem.toString());
        }
    }

    private static void command(String... words) throws IOException, InterruptedException {
        int status = new ProcessBuilder(words).inheritIO().start().waitFor();
        if (status != 0) {
            throw new IOException(String.join(" ", words) + " ended with " + status);
        }
    }

    /** Does something until the JVM has had nothing to compile for a while: a long-lived process is in that state. */
    static void warmUp(Duel.Action action) throws Exception {
        CompilationMXBean compiler = ManagementFactory.getCompilationMXBean();
        int quiet = 0;
        for (int time = 0; time < MOST_WARM_UPS && quiet < QUIET_WARM_UPS; time++) {
            long before = compiler.getTotalCompilationTime();
            action.run();
            quiet = compiler.getTotalCompilationTime() == before ? quiet + 1 : 0;
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
