package io.microsnap.memory.misuse;

import io.microsnap.core.internal.posix.Constants;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.store.SnapshotStore;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Restores where somebody else in the process has taken nearly all of {@code vm.max_map_count}. */
final class MappingsNearlyUsedUp implements Misuse {
    @Override
    public void round(SnapshotStore store, InMemoryPageReader guest, SplittableRandom random) throws Exception {
        Posix posix = Posix.host();
        Constants constants = posix.constants();
        long page = posix.getpagesize();
        long spare = random.nextLong(1500, 4000);
        long pieces = ProcessLimits.mostMappings() - spare - ProcessLimits.mappings();
        long start = posix.mmap(0, pieces * page, constants.PROT_NONE,
                constants.MAP_PRIVATE | constants.MAP_ANONYMOUS | constants.MAP_NORESERVE, -1, 0);
        Misuse.require(start > 0, "mmap failed");
        List<RestoredSnapshot> siblings = new ArrayList<>();
        try {
            // Neighbours of different protection are mappings of their own.
            for (long piece = 1; piece < pieces; piece += 2) {
                Misuse.require(posix.mprotect(start + piece * page, page, constants.PROT_READ) == 0,
                        "mprotect failed");
            }
            for (int number = 0; number < 4; number++) {
                siblings.add(Restore.of(store, DIFF).restore(RestoreEngine.LAZY));
                Misuse.require(siblings.getLast().memory().mapping(0).mismatch(guest.bytes()) < 0,
                        "the restored memory has other bytes");
            }
        } finally {
            close(siblings, random);
            Misuse.require(posix.munmap(start, pieces * page) == 0, "munmap failed");
        }
    }

    private static void close(List<RestoredSnapshot> siblings, SplittableRandom random) throws IOException {
        while (!siblings.isEmpty()) {
            siblings.remove(random.nextInt(siblings.size())).close();
        }
    }
}
