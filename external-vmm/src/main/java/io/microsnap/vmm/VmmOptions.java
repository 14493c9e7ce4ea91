package io.microsnap.vmm;

import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Posix;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;

/** Says how to reach a VMM, and how to bake its guest. Immutable: each method returns new options. */
public final class VmmOptions {
    private final Path socket;
    private final Posix posix;
    private final OptionalLong process;
    private final List<Path> disks;
    private final Optional<Path> scratch;
    private final Optional<Path> jail;
    private final boolean leavePaused;
    private final Duration patience;
    private final Optional<SnapshotId> changesSince;

    private VmmOptions(Path socket, Posix posix, OptionalLong process, List<Path> disks, Optional<Path> scratch,
            Optional<Path> jail, boolean leavePaused, Duration patience, Optional<SnapshotId> changesSince) {
        this.socket = socket;
        this.posix = posix;
        this.process = process;
        this.disks = disks;
        this.scratch = scratch;
        this.jail = jail;
        this.leavePaused = leavePaused;
        this.patience = patience;
        this.changesSince = changesSince;
    }

    /** Returns options for the VMM that listens on this socket. */
    public static VmmOptions of(Path socket) {
        return new VmmOptions(Objects.requireNonNull(socket), Posix.host(), OptionalLong.empty(), List.of(),
                Optional.empty(), Optional.empty(), false, Duration.ofSeconds(30), Optional.empty());
    }

    /** Names the VMM's process, if the kernel cannot say which process listens on the socket. */
    public VmmOptions process(long pid) {
        return new VmmOptions(socket, posix, OptionalLong.of(pid), disks, scratch, jail, leavePaused, patience,
                changesSince);
    }

    /** Adds a file to store as of the same moment, such as a disk. */
    public VmmOptions attach(Path file) {
        List<Path> more = new ArrayList<>(disks);
        more.add(file);
        return new VmmOptions(socket, posix, process, List.copyOf(more), scratch, jail, leavePaused, patience,
                changesSince);
    }

    /** Names the directory for files that the VMM writes or reads, which it must be able to reach. */
    public VmmOptions scratch(Path directory) {
        return new VmmOptions(socket, posix, process, disks, Optional.of(directory), jail, leavePaused, patience,
                changesSince);
    }

    /** Names the VMM's root directory. Paths sent to the VMM are made relative to it. */
    public VmmOptions jail(Path root) {
        return new VmmOptions(socket, posix, process, disks, scratch, Optional.of(root), leavePaused, patience,
                changesSince);
    }

    /** Leaves the guest paused after a successful bake. */
    public VmmOptions leavePaused() {
        return new VmmOptions(socket, posix, process, disks, scratch, jail, true, patience,
                changesSince);
    }

    /**
     * Sets the time limit for an answer, 30 seconds by default. It grows with the size of RAM if the VMM must write
     * RAM.
     */
    public VmmOptions patience(Duration longest) {
        return new VmmOptions(socket, posix, process, disks, scratch, jail, leavePaused, longest,
                changesSince);
    }

    /**
     * Makes Firecracker write only the changes since this snapshot, which must be the last one baked from the very same
     * process. It becomes the base of the next one.
     */
    public VmmOptions changesSince(SnapshotId base) {
        return new VmmOptions(socket, posix, process, disks, scratch, jail, leavePaused, patience,
                Optional.of(base));
    }

    /** Makes system calls through another interface, for tests. */
    VmmOptions through(Posix other) {
        return new VmmOptions(socket, other, process, disks, scratch, jail, leavePaused, patience,
                changesSince);
    }

    Path socket() {
        return socket;
    }

    Posix posix() {
        return posix;
    }

    OptionalLong process() {
        return process;
    }

    List<Path> attachments() {
        return disks;
    }

    Optional<Path> scratch() {
        return scratch;
    }

    Optional<Path> jail() {
        return jail;
    }

    boolean leavesPaused() {
        return leavePaused;
    }

    Duration patience() {
        return patience;
    }

    Optional<SnapshotId> changesSince() {
        return changesSince;
    }
}
