package io.microsnap.memory;

import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.memory.internal.image.MemoryWriter;
import io.microsnap.store.internal.PageIndex;
import io.microsnap.store.internal.PageMap;
import io.microsnap.store.internal.StagedSnapshot;
import java.util.Optional;

/**
 * The staged files that a capture fills.
 *
 * @param map the pages that the image does not share with a base; empty where there is no base
 * @param writer writes the image, the index and the map
 */
record StagedCapture(StagedSnapshot snapshot, Descriptor image, PageIndex index, Optional<PageMap> map,
        MemoryWriter writer) {
}
