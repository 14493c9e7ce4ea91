package io.microsnap.registry.internal.push;

import io.microsnap.registry.internal.format.Frame;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import java.io.IOException;
import java.util.Optional;

/**
 * Finds the pages that an image has in common with the base it was cloned from: those that its map does not mark.
 *
 * @param map of the image
 * @param index of the image
 * @param baseIndex of the base, if the store has it: then both must agree
 */
record BaseRule(PageMap map, PageIndex index, Optional<PageIndex> baseIndex) implements Donor.Rule {
    @Override
    public long shared(Frame frame) throws IOException {
        long[] bits = new long[1];
        frame.<IOException>eachUsedRun((firstPage, inFrame, count) -> {
            for (int at = 0; at < count; at++) {
                long page = firstPage + at;
                if (!map.test(page)
                        && (baseIndex.isEmpty() || baseIndex.get().crc(page) == index.crc(page))) {
                    bits[0] |= 1L << (inFrame + at);
                }
            }
        });
        return bits[0];
    }
}
