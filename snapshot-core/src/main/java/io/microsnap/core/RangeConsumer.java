package io.microsnap.core;

import java.io.IOException;

/** Takes ranges one after another, in ascending order and without overlap. */
@FunctionalInterface
public interface RangeConsumer {
    void accept(long offset, long lengthBytes) throws IOException;
}
