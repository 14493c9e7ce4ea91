package io.microsnap.benchmarks;

import io.microsnap.core.HugePages;
import io.microsnap.core.internal.file.Advice;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.kvm.Kvm;
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
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

/** What a scenario works with: real file systems and C peers, all gone when the scenario ends. */
public final class Workbench implements AutoCloseable {

    /** Headers that any peer may include. */
    private static final List<String> PEER_HEADERS =
            List.of("/io/microsnap/benchmarks/peer.h", "/io/microsnap/benchmarks/checksum.h");

    private static final int MOST_WARM_UPS = 400;
    private static final int QUIET_WARM_UPS = 30;
    private static final long MOST_WARM_UP_NANOS = TimeUnit.SECONDS.toNanos(2);
    private static final long MOST_QUICK_WARM_UP_NANOS = TimeUnit.SECONDS.toNanos(1);
    /** Set in the JVM of a row that is measured quickly. */
    static final String QUICK = "microsnap.benchmarks.quick";
    private static final Path SCRATCH = Path.of(
            Objects.requireNonNullElse(System.getenv("MICROSNAP_SCRATCH"), "/var/tmp"));

    private final Deque<AutoCloseable> toClose = new ArrayDeque<>();
    private final Set<Path> fileSystems = new HashSet<>();
    private final List<Process> processes = new CopyOnWriteArrayList<>();
    private final Thread ending = new Thread(this::end, "end of the workbench");
    private ScratchFs scratchFs;

    Workbench() {
        Runtime.getRuntime().addShutdownHook(ending);
    }

    /** The directory in which the file systems' images are. */
    static Path scratch() {
        return SCRATCH;
    }

    /** Refuses what this machine is too small for. */
    void require(long memoryBytes, long diskBytes) throws IOException, UnavailableException {
        long memory = Memory.availableBytes();
        if (memoryBytes > memory) {
            throw new UnavailableException("it takes " + Unit.BYTES.text(memoryBytes) + " of memory, and "
                    + Unit.BYTES.text(memory) + " are available");
        }
        long disk = Files.getFileStore(SCRATCH).getUsableSpace();
        if (diskBytes > disk) {
            throw new UnavailableException("it takes " + Unit.BYTES.text(diskBytes) + " below " + SCRATCH + ", and "
                    + Unit.BYTES.text(disk) + " are free; MICROSNAP_SCRATCH names another directory");
        }
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
        return readingPeer(owner, source, arguments);
    }

    /** As {@link #peer}, for a program that answers with more than its time. */
    CPeer readingPeer(Class<?> owner, String source, Object... arguments) throws Exception {
        CCompiler compiler = CCompiler.find().orElseThrow(
                () -> new UnavailableException("there is no C compiler; to enable: apt-get install gcc libc6-dev"));
        Path program = compile(compiler, owner, source);
        List<String> words = List.of(arguments).stream().map(String::valueOf).toList();
        return closeLater(new CPeer(program, killLater(CPeer.start(program, words))));
    }

    /** Compiles a peer: the C program in {@code source}, a resource beside {@code owner}. */
    static Path compile(CCompiler compiler, Class<?> owner, String source) {
        return compiler.program(owner, source, PEER_HEADERS.toArray(String[]::new));
    }

    /** Kills a process when a signal ends this JVM before the scenario ends. */
    Process killLater(Process process) {
        processes.add(process);
        return process;
    }

    /** Opens KVM, where this machine has it. */
    Kvm kvm() throws UnavailableException {
        try {
            return closeLater(Kvm.open());
        } catch (IOException e) {
            throw new UnavailableException(e.getMessage());
        }
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
            // A filesystem that stays frozen keeps its device for ever. A shell of its own thaws it when this JVM dies,
            // ignores what a terminal sends, and stands in it: the path may be unmounted meanwhile.
            command("sh", "-c", "trap '' HUP INT TERM; cd \"$1\" && fsfreeze --freeze . && fsfreeze --unfreeze .",
                    "sh", fileSystem.toString());
        }
    }

    private static void command(String... words) throws IOException, InterruptedException {
        int status = new ProcessBuilder(words).redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.INHERIT).start().waitFor();
        if (status != 0) {
            throw new IOException(String.join(" ", words) + " ended with " + status);
        }
    }

    /**
     * Does something until the JVM has had nothing to compile for a while, or for some seconds: a long-lived process is
     * in that state.
     */
    static void warmUp(Duel.Action action) throws Exception {
        CompilationMXBean compiler = ManagementFactory.getCompilationMXBean();
        int quiet = 0;
        long end = System.nanoTime() + (Boolean.getBoolean(QUICK) ? MOST_QUICK_WARM_UP_NANOS : MOST_WARM_UP_NANOS);
        for (int time = 0; time < MOST_WARM_UPS && quiet < QUIET_WARM_UPS && System.nanoTime() < end; time++) {
            long before = compiler.getTotalCompilationTime();
            action.run();
            quiet = compiler.getTotalCompilationTime() == before ? quiet + 1 : 0;
        }
    }

    private synchronized ScratchFs scratchFs() {
        if (scratchFs == null) {
            scratchFs = closeLater(ScratchFs.start());
        }
        return scratchFs;
    }

    /**
     * Leaves no process and no mount when a signal ends this JVM in the middle of a scenario. Memory stays mapped: the
     * scenario may be using it, and it goes with the JVM.
     */
    private synchronized void end() {
        processes.forEach(Process::destroyForcibly);
        if (scratchFs != null) {
            try {
                scratchFs.close();
            } catch (IOException e) {
                System.err.println(e.getMessage());
            }
        }
    }

    private static Path available(Scratch scratch) throws UnavailableException {
        return switch (scratch) {
            case Scratch.Ready ready -> ready.path();
            case Scratch.Unavailable unavailable -> throw new UnavailableException(unavailable.toString());
        };
    }

    @Override
    public void close() throws IOException {
        IOException failure = closeAll();
        try {
            Runtime.getRuntime().removeShutdownHook(ending);
        } catch (IllegalStateException shuttingDown) {
            // The hook finds everything closed.
        }
        if (failure != null) {
            throw failure;
        }
    }

    private IOException closeAll() {
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
        return failure;
    }
}
