package io.microsnap.vmm.internal.host;

import io.microsnap.core.SnapshotException;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.internal.posix.SocketPeer;
import io.microsnap.core.internal.posix.SystemCallException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.locks.LockSupport;

/** Inspects a VMM's process through {@code /proc}. */
public final class VmmProcess {
    private static final int PERMISSIONS = 1;
    private static final int OFFSET = 2;
    private static final int DEVICE = 3;
    private static final int INODE = 4;
    private static final int FIELDS = 6;
    private static final int START_TIME = 19;
    private static final int ATTEMPTS = 5000;
    private static final long BETWEEN_LOOKS_NANOS = 1_000_000;
    private static final int LONGEST_COMMAND = 1 << 20;

    private final long pid;
    private final int user;
    private final int group;
    private final Path directory;

    private VmmProcess(long pid, int user, int group) {
        this.pid = pid;
        this.user = user;
        this.group = group;
        directory = Path.of("/proc", Long.toString(pid));
    }

    /** Returns the process that listens on a socket, or the one that the user named if the kernel cannot say. */
    public static VmmProcess behind(Posix posix, Path socket, OptionalLong named) throws IOException {
        SocketPeer peer = peer(posix, socket);
        long pid = named.orElse(peer.process());
        if (pid == 0) {
            throw new SnapshotException(socket + ": the VMM's process cannot be seen from here, perhaps because it runs"
                    + " in another PID namespace; name it with --pid");
        }
        VmmProcess process = new VmmProcess(pid, peer.user(), peer.group());
        if (!Files.isDirectory(process.directory)) {
            throw new SnapshotException("there is no process " + pid);
        }
        return process;
    }

    /** Retries for a while if the VMM's queue of clients is full. */
    private static SocketPeer peer(Posix posix, Path socket) throws IOException {
        for (int attempt = 1; ; attempt++) {
            try {
                return SocketPeer.of(posix, socket);
            } catch (SystemCallException failure) {
                if (failure.errno() != Errno.EAGAIN || attempt == ATTEMPTS) {
                    throw failure;
                }
                LockSupport.parkNanos(BETWEEN_LOOKS_NANOS);
            }
        }
    }

    /** Does as {@link #behind}, but first waits for a just started VMM to listen. */
    public static VmmProcess await(Posix posix, Path socket, OptionalLong named, Duration patience)
            throws IOException {
        long deadline = System.nanoTime() + patience.toNanos();
        while (true) {
            try {
                return behind(posix, socket, named);
            } catch (NoSuchFileException | SystemCallException notYet) {
                if (System.nanoTime() - deadline > 0) {
                    throw notYet;
                }
                LockSupport.parkNanos(BETWEEN_LOOKS_NANOS);
            }
        }
    }

    /** Returns the process id. */
    public long pid() {
        return pid;
    }

    /** Returns the user id that it had when it began to listen. */
    public int user() {
        return user;
    }

    /** Returns the group id that it had when it began to listen. */
    public int group() {
        return group;
    }

    /** Returns when it started, in ticks since the host booted: together with the id this names one process. */
    public long startTime() throws IOException {
        String stat = Files.readString(directory.resolve("stat"), StandardCharsets.ISO_8859_1);
        String[] fields = stat.substring(stat.lastIndexOf(')') + 1).strip().split(" ", -1);
        try {
            return Long.parseLong(fields[START_TIME]);
        } catch (NumberFormatException | ArrayIndexOutOfBoundsException unreadable) {
            throw new SnapshotException(directory + "/stat cannot be parsed", unreadable);
        }
    }

    /** Returns the words of its command line. */
    public List<String> commandLine() throws IOException {
        byte[] bytes;
        try (var stream = Files.newInputStream(directory.resolve("cmdline"))) {
            bytes = stream.readNBytes(LONGEST_COMMAND);
        }
        List<String> words = new ArrayList<>(List.of(new String(bytes, StandardCharsets.UTF_8).split("\0", -1)));
        if (!words.isEmpty() && words.getLast().isEmpty()) {
            words.removeLast();
        }
        return words;
    }

    /** Turns a path of the process into one that this process can open. */
    public Path seenFromHere(String path) throws IOException {
        try {
            Path root = directory.resolve("root");
            if (path.startsWith("/")) {
                Path outside = Path.of(path);
                Path inside = root.resolve(path.substring(1));
                return Files.isSameFile(root, Path.of("/")) ? outside : inside;
            }
            return Files.readSymbolicLink(directory.resolve("cwd")).resolve(path);
        } catch (AccessDeniedException denied) {
            throw new SnapshotException("process " + pid + " cannot be read (" + denied.getMessage()
                    + "); run as the VMM's user or as root", denied);
        }
    }

    /**
     * Opens the file of this length that the process has mapped shared, whole and from its start, for reading.
     *
     * @param path the path that the VMM reports; empty for a memfd, which has none
     * @param name its name in messages
     */
    public Descriptor sharedRam(Posix posix, Optional<Path> path, long lengthBytes, String name) throws IOException {
        List<Mapped> maps = sharedMappings();
        List<Path> open = new ArrayList<>();
        try (DirectoryStream<Path> links = Files.newDirectoryStream(directory.resolve("fd"))) {
            for (Path link : links) {
                if (isRam(link, path, lengthBytes, maps)) {
                    open.add(link);
                }
            }
        } catch (IOException denied) {
            throw new SnapshotException("the files of process " + pid + " cannot be read ("
                    + denied.getMessage() + "); run as the VMM's user or as root", denied);
        }
        if (open.isEmpty()) {
            throw new SnapshotException(name + " is not a file that process " + pid + " has mapped shared, whole: its"
                    + " RAM is private, or --pid names another process");
        }
        return Descriptor.open(posix, open.getFirst(), posix.constants().O_RDONLY, 0);
    }

    private static boolean isRam(Path link, Optional<Path> path, long lengthBytes, List<Mapped> maps) {
        try {
            Map<String, Object> file = Files.readAttributes(link, "unix:ino,dev,size,isRegularFile");
            if (!(boolean) file.get("isRegularFile") || (long) file.get("size") != lengthBytes) {
                return false;
            }
            if (path.isPresent() && Files.exists(path.get()) && !Files.isSameFile(path.get(), link)) {
                return false;
            }
            long inode = (long) file.get("ino");
            long device = (long) file.get("dev");
            String target = Files.readSymbolicLink(link).toString();
            // On btrfs the device in maps differs from that of stat: compare inode and path instead.
            List<Mapped> ranges = maps.stream().filter(map -> map.inode == inode
                    && (map.device == device || map.path.equals(target))).toList();
            long covered = 0;
            for (Mapped range : ranges) {
                if (range.offset <= covered) {
                    covered = Math.max(covered, range.offset + range.lengthBytes);
                }
            }
            return covered >= lengthBytes;
        } catch (IOException gone) {
            return false;
        }
    }

    private List<Mapped> sharedMappings() throws IOException {
        List<Mapped> result = new ArrayList<>();
        try {
            for (String line : Files.readAllLines(directory.resolve("maps"), StandardCharsets.ISO_8859_1)) {
                String[] fields = line.split(" +", FIELDS);
                if (fields.length == FIELDS && fields[PERMISSIONS].endsWith("s")) {
                    String[] range = fields[0].split("-", -1);
                    String[] device = fields[DEVICE].split(":", -1);
                    long start = Long.parseUnsignedLong(range[0], 16);
                    result.add(new Mapped(Long.parseUnsignedLong(fields[OFFSET], 16),
                            Long.parseUnsignedLong(range[1], 16) - start,
                            device(Long.parseLong(device[0], 16), Long.parseLong(device[1], 16)),
                            Long.parseLong(fields[INODE]), fields[FIELDS - 1]));
                }
            }
        } catch (IOException denied) {
            throw new SnapshotException("the memory map of process " + pid + " cannot be read ("
                    + denied.getMessage() + "); run as the VMM's user or as root", denied);
        }
        result.sort(Comparator.comparingLong(Mapped::offset));
        return result;
    }

    /** Returns a device number in the form of {@code stat}. */
    private static long device(long major, long minor) {
        return (minor & 0xFF) | ((major & 0xFFF) << 8) | ((minor & ~0xFFL) << 12) | ((major & ~0xFFFL) << 32);
    }

    private record Mapped(long offset, long lengthBytes, long device, long inode, String path) {
    }

    @Override
    public String toString() {
        return "process " + pid;
    }
}
