package io.microsnap.testsupport;

import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The checkout these classes were built in: where its scripts, JVM options and build output are. */
public final class Checkout {

    private static final String SCRATCH_FS = "support/scratch-fs";

    private Checkout() {
    }

    /** The top directory. */
    public static Path root() {
        Path here;
        try {
            here = Path.of(Checkout.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
        for (Path directory = here; directory != null; directory = directory.getParent()) {
            if (Files.isExecutable(directory.resolve(SCRATCH_FS))) {
                return directory;
            }
        }
        throw new IllegalStateException("test-support runs from inside a microsnap checkout, but no directory above "
                + here + " has " + SCRATCH_FS);
    }

    /** The argument file with which every JVM that runs microsnap starts. */
    public static Path jvmOptions() {
        return root().resolve("support/jvm.options");
    }

    static Path scratchFs() {
        return root().resolve(SCRATCH_FS);
    }

    /** Where compiled C lives: build output, removed by {@code mvn clean}. */
    static Path compiledC() {
        return root().resolve("target/compiled-c");
    }
}
