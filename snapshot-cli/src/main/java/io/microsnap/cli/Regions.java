package io.microsnap.cli;

import io.microsnap.core.Region;
import java.util.ArrayList;
import java.util.List;

/** Regions of guest memory as they are given on the command line. */
final class Regions {
    private Regions() {
    }

    /** Reads {@code ADDR:SIZE}, one after another; throws {@link IllegalArgumentException} for a mistake. */
    static List<Region> parse(List<String> texts) {
        List<Region> regions = new ArrayList<>();
        for (String text : texts) {
            int colon = text.indexOf(':');
            if (colon < 0) {
                throw new IllegalArgumentException("'" + text
                        + "' has no ':' between address and size, as in 0x100000000:1G");
            }
            try {
                regions.add(new Region(Long.decode(text.substring(0, colon)),
                        Sizes.parseBytes(text.substring(colon + 1))));
            } catch (IllegalArgumentException notARegion) {
                throw new IllegalArgumentException("'" + text + "': " + notARegion.getMessage(), notARegion);
            }
        }
        return regions;
    }
}
