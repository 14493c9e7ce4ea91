package io.microsnap.vmm.internal.host;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/** Translates paths for a VMM with its own root directory. */
public final class Jail {
    private Jail() {
    }

    /** Returns the path of a file as a VMM with this root directory sees it; without one, the absolute path. */
    public static String asSeenInside(Optional<Path> root, Path file) throws IOException {
        Path absolute = file.toAbsolutePath().normalize();
        if (root.isEmpty()) {
            return absolute.toString();
        }
        Path jail = root.get().toAbsolutePath().normalize();
        if (!absolute.startsWith(jail)) {
            throw new SnapshotException(file + " does not lie in the VMM's root directory " + jail
                    + ", so the VMM cannot reach it; use a path below that directory");
        }
        return "/" + jail.relativize(absolute);
    }
}
