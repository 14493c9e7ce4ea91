package io.microsnap.core.internal.posix;

import java.util.Locale;

/** Picks, once, the implementation for the machine this process runs on. */
final class HostPosix {
    static final Posix INSTANCE = choose(System.getProperty("os.name"), System.getProperty("os.arch"));

    private HostPosix() {
    }

    private static Posix choose(String system, String architecture) {
        boolean arm = architecture.equals("aarch64");
        if (system.equals("Linux") && (arm || architecture.equals("amd64"))) {
            return new LinuxPosix(arm ? Constants.LINUX_AARCH64 : Constants.LINUX_X86_64);
        }
        if (system.equals("Mac OS X") && arm) {
            return new MacPosix(Downcall.LIBC);
        }
        throw new UnsupportedOperationException(String.format(Locale.ROOT,
                "microsnap does not know the system calls of %s on %s; Linux on amd64 and aarch64 and"
                        + " macOS on aarch64 are supported",
                system, architecture));
    }
}
