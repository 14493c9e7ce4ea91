package io.microsnap.store.internal;

/**
 * Computes how the CRC32C of a text changes when a part of it changes, without reading the rest: CRC32C is arithmetic
 * on polynomials over two elements.
 *
 * <p>Let two texts of one length have checksums that differ by <i>d</i>. If the same <i>n</i> bytes follow both, the
 * checksums differ by <i>d</i> times the weight of <i>n</i> bytes; bytes before them make no difference.
 */
final class Crc32cAlgebra {
    /** The polynomial without its highest term; the lowest bit is the coefficient of the highest power. */
    private static final int POLYNOMIAL = 0x82F63B78;
    private static final int ONE = 1 << 31;

    private Crc32cAlgebra() {
    }

    /** Returns the weights of the parts of a text that consists of this many parts of one length. */
    static int[] weights(int partBytes, int parts) {
        int partWeight = ONE;
        for (int bit = 0; bit < partBytes * Byte.SIZE; bit++) {
            partWeight = timesX(partWeight);
        }
        int[] weights = new int[parts];
        weights[parts - 1] = ONE;
        for (int part = parts - 2; part >= 0; part--) {
            weights[part] = multiply(weights[part + 1], partWeight);
        }
        return weights;
    }

    static int multiply(int left, int right) {
        int product = 0;
        int shifted = right;
        for (int bit = 31; bit >= 0; bit--) {
            product ^= shifted & -((left >>> bit) & 1);
            shifted = timesX(shifted);
        }
        return product;
    }

    private static int timesX(int value) {
        return (value >>> 1) ^ (POLYNOMIAL & -(value & 1));
    }
}
