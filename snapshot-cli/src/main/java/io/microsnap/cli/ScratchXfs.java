package io.microsnap.cli;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A small XFS in a file, mounted while this is open. Needs root and the tools of XFS. */
final class ScratchXfs implements AutoCloseable {
    private final Path directory;
    private final Path image;
    private final Path mountPoint;
    private boolean mounted;

    private ScratchXfs(Path directory) {
        this.directory = directory;
        image = directory.resolve("xfs.img");
        mountPoint = directory.resolve("mnt");
    }

    /** Makes and mounts one of this size in an empty directory, and removes the directory when it is closed. */
    static ScratchXfs mount(Path directory, long sizeBytes) throws IOException {
        ScratchXfs xfs = new ScratchXfs(directory);
        try {
            Files.createDirectory(xfs.mountPoint);
            run("truncate", "-s", Long.toString(sizeBytes), xfs.image.toString());
            run("mkfs.xfs", "-q", "-m", "reflink=1", xfs.image.toString());
            run("mount", "-o", "loop", xfs.image.toString(), xfs.mountPoint.toString());
            xfs.mounted = true;
            return xfs;
        } catch (IOException | RuntimeException failure) {
            try {
                xfs.close();
            } catch (IOException second) {
                failure.addSuppressed(second);
            }
            throw failure;
        }
    }

    Path directory() {
        return mountPoint;
    }

    @Override
    public void close() throws IOException {
        if (mounted) {
            run("umount", mountPoint.toString());
            mounted = false;
        }
        Files.deleteIfExists(image);
        Files.deleteIfExists(mountPoint);
        Files.deleteIfExists(directory);
    }

    private static void run(String... command) throws IOException {
        Process process;
        try {
            process = new ProcessBuilder(command).redirectErrorStream(true).start();
        } catch (IOException missing) {
            throw new SnapshotException("--xfs needs " + command[0] + " (Debian: xfsprogs, mount), and root", missing);
        }
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        boolean interrupted = false;
        while (true) {
            try {
                int status = process.waitFor();
                if (status != 0) {
                    throw new SnapshotException("--xfs: " + String.join(" ", List.of(command)) + " ended with status "
                            + status + ": " + output + "; it needs root and loop devices");
                }
                return;
            } catch (InterruptedException again) {
                interrupted = true;
            } finally {
                if (interrupted) {
                    Thread.currentThread().interrupt();
                }
            }
        }
    }
}
