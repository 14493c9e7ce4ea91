package io.microsnap.core.internal.posix;

import java.util.Locale;
import java.util.Optional;

/** Picks, once, the implementation for the machine this process runs on. */
final class HostPosix {
    private static final Optional<Posix> INSTANCE =
            choose(System.getProperty("os.name"), System.getProperty("os.arch"));

    private HostPosix() {
    }

    /**
     * Throws here rather than in the class initializer, whose exception the caller would get as an error, and only
     * once.
     */
    static Posix get() {
        return INSTANCE.orElseThrow(() -> new UnsupportedOperationException(String.format(Locale.ROOT,
                "microsnap does not know the system calls of %s on %s; Linux on amd64 and aarch64 and"
                        + " macOS on aarch64 are supported",
                System.getProperty("os.name"), System.getProperty("os.arch"))));
    }

    private static Optional<Posix> choose(String system, String architecture) {
        boolean arm = architecture.equals("aarch64");
        if (system.equals("Linux") && (arm || architecture.equals("amd64"))) {
            return Optional.of(new LinuxPosix(arm ? Constants.LINUX_AARCH64 : Constants.LINUX_X86_64));
        }
        if (system.equals("Mac OS X") && arm) {
            return Optional.of(new MacPosix(Downcall.LIBC));
        }
        return Optional.empty();
    }
}
