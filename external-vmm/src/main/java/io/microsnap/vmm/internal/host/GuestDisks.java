package io.microsnap.vmm.internal.host;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A guest's disks, and which of them are stored.
 *
 * @param attached every file to store, by its attachment's name
 * @param names those of them that are disks of the guest
 * @param paths the disks' paths in the VMM, and the names of their attachments
 * @param warnings warnings about missing disks
 */
public record GuestDisks(Map<String, Path> attached, List<String> names, Map<String, String> paths,
        List<String> warnings) {
    /**
     * A disk of a guest.
     *
     * @param path its path in the VMM
     * @param readOnly whether the guest cannot change it
     */
    public record Disk(String path, boolean readOnly) {
    }

    /** Finds the guest's disks among the files to store. */
    public static GuestDisks of(List<Disk> guests, VmmProcess process, List<Path> files) throws IOException {
        GuestDisks disks = new GuestDisks(new LinkedHashMap<>(), new ArrayList<>(), new LinkedHashMap<>(),
                new ArrayList<>());
        for (Path file : files) {
            disks.attach(file);
        }
        for (Disk disk : guests) {
            disks.match(disk.path, disk.readOnly, process);
        }
        return disks;
    }

    private void attach(Path file) throws SnapshotException {
        if (file.getFileName() == null || !Files.isRegularFile(file)) {
            throw new SnapshotException(file + " is not a regular file, and cannot be stored with a snapshot");
        }
        if (attached.put(file.getFileName().toString(), file) != null) {
            throw new SnapshotException("two files to store are named " + file.getFileName()
                    + "; rename one of them");
        }
    }

    private void match(String file, boolean readOnly, VmmProcess process) throws IOException {
        Optional<String> name = find(file, process);
        if (name.isPresent()) {
            names.add(name.get());
            paths.put(file, name.get());
        } else if (!readOnly) {
            warnings.add("the writable disk " + file + " is not stored: the guest keeps writing to it, so the"
                    + " snapshot's memory and that disk are of different moments; store it with --attach " + file);
        }
    }

    private Optional<String> find(String file, VmmProcess process) throws IOException {
        Path path;
        try {
            path = process.seenFromHere(file);
        } catch (InvalidPathException noFile) {
            return Optional.empty();
        }
        if (!Files.exists(path)) {
            return Optional.empty();
        }
        for (Map.Entry<String, Path> candidate : attached.entrySet()) {
            if (Files.isSameFile(path, candidate.getValue())) {
                return Optional.of(candidate.getKey());
            }
        }
        return Optional.empty();
    }
}
