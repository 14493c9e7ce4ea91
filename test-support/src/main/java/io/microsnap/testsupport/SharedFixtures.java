package io.microsnap.testsupport;

import java.io.IOException;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * What all tests of one JVM share: kept in JUnit's root store, made when first asked for, closed after the last test.
 */
final class SharedFixtures implements AutoCloseable {

    private static final ExtensionContext.Namespace OURS = ExtensionContext.Namespace.create(SharedFixtures.class);

    private ScratchFs scratchFs;

    private SharedFixtures() {
    }

    static SharedFixtures of(ExtensionContext context) {
        return context.getRoot().getStore(OURS)
                .getOrComputeIfAbsent(SharedFixtures.class, key -> new SharedFixtures(), SharedFixtures.class);
    }

    synchronized ScratchFs scratchFs() {
        if (scratchFs == null) {
            scratchFs = ScratchFs.start();
        }
        return scratchFs;
    }

    @Override
    public synchronized void close() throws IOException {
        if (scratchFs != null) {
            scratchFs.close();
        }
    }
}
