package io.microsnap.core.internal.posix;

/** The operating systems whose system calls are known here. */
public enum OperatingSystem {
    LINUX, MACOS
}
