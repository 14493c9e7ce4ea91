package io.microsnap.core;

import java.io.IOException;

/** Takes ranges one after another, in ascending order and without overlap. */
@FunctionalInterface
public interface RangeConsumer {
    /** Takes one range; what this throws ends the listing and is passed on. */
    void accept(long offset, long lengthBytes) throws IOException;
}
