package io.microsnap.core.file;

import io.microsnap.core.posix.Descriptor;
import io.microsnap.core.posix.PageMapScan;
import io.microsnap.core.posix.Posix;
import java.io.IOException;
import java.nio.file.Path;

/**
 * This process's page map, opened when it is first asked and kept open: questions about a few pages come often, and
 * opening it and its buffers would cost more than they do. Use it from one thread at a time.
 */
final class OwnPageMap implements AutoCloseable {
    private final Posix posix;
    private Descriptor descriptor;
    private PageMapScan scanner;

    OwnPageMap(Posix posix) {
        this.posix = posix;
    }

    Posix posix() {
        return posix;
    }

    Descriptor descriptor() throws IOException {
        if (descriptor == null) {
            descriptor = Descriptor.open(posix, Path.of("/proc/self/pagemap"), posix.constants().O_RDONLY, 0);
        }
        return descriptor;
    }

    PageMapScan scanner() {
        if (scanner == null) {
            scanner = new PageMapScan();
        }
        return scanner;
    }

    @Override
    public void close() throws IOException {
        if (descriptor != null) {
            descriptor.close();
            descriptor = null;
        }
    }
}
