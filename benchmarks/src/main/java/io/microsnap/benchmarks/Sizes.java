package io.microsnap.benchmarks;

/** Writes sizes as they stand in the names of rows: {@code 256m}, {@code 1g}. */
final class Sizes {
    static final long MIB = 1L << 20;
    static final long GIB = 1L << 30;

    private Sizes() {
    }

    static String name(long bytes) {
        return bytes % GIB == 0 ? bytes / GIB + "g" : bytes % MIB == 0 ? bytes / MIB + "m" : bytes / 1024 + "k";
    }
}
