package io.microsnap.memory;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import java.io.IOException;

/** Takes single files out of the page cache. */
final class ColdCache {
    private ColdCache() {
    }

    /** Drops what is cached of a file, as far as nobody has it mapped. */
    static void evict(Descriptor file) throws IOException {
        Posix posix = Posix.host();
        file.check("fdatasync", posix.fdatasync(file.number()), "");
        file.check("posix_fadvise",
                posix.posix_fadvise(file.number(), 0, 0, posix.constants().POSIX_FADV_DONTNEED), "");
    }
}
