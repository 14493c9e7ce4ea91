package io.microsnap.dirty;

import static org.junit.jupiter.api.Assumptions.abort;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.testing.DirtySourceContract;
import io.microsnap.dirty.testing.TrackedGuest;
import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** The page map scan on every kind of memory that a guest may have. */
@EnabledOnOs(OS.LINUX)
class PageMapSourceContractTest {
    private abstract static class OnRealMemory extends DirtySourceContract {
        abstract TrackedGuest open() throws IOException;

        @Override
        protected TrackedGuest openGuest() throws IOException {
            try {
                return open();
            } catch (TrackingUnavailableException unavailable) {
                return abort(unavailable.getMessage());
            }
        }

        @Override
        protected int harvestsWhileRunning() {
            return Effort.choose(50, 200, 10_000);
        }
    }

    @Nested
    class Memfd extends OnRealMemory {
        @Override
        TrackedGuest open() throws IOException {
            return PageMapGuest.memfd();
        }
    }

    @Nested
    class Anonymous extends OnRealMemory {
        @Override
        TrackedGuest open() throws IOException {
            return PageMapGuest.anonymous();
        }
    }

    @Nested
    class PrivateMappingOfAFile extends OnRealMemory {
        @TempDir
        private Path directory;

        @Override
        TrackedGuest open() throws IOException {
            Posix posix = Posix.host();
            int flags = posix.constants().O_CREAT | posix.constants().O_RDWR;
            try (Descriptor image = Descriptor.open(posix, directory.resolve("memory.img"), flags, 0600)) {
                image.truncate(PageMapGuest.LAYOUT.lengthBytes());
                return PageMapGuest.privateMapping(image);
            }
        }
    }

    @Nested
    class AnotherProcess extends OnRealMemory {
        private final CCompiler compiler;
        private final ChildProcesses children;

        AnotherProcess(CCompiler compiler, ChildProcesses children) {
            this.compiler = compiler;
            this.children = children;
        }

        @Override
        TrackedGuest open() throws IOException {
            return HandedOverGuest.start(compiler, children, "fresh");
        }
    }
}
