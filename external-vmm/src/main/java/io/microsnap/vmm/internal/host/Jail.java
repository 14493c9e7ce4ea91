package io.microsnap.vmm.internal.host;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/** Tells a VMM a path as the VMM sees it. */
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
                    + ", and so the VMM cannot reach it; choose a place below that");
        }
        return "/" + jail.relativize(absolute);
    }
}
