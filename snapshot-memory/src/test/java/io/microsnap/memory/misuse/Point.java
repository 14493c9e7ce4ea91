package io.microsnap.memory.misuse;

import java.util.List;
import java.util.SplittableRandom;

/** Where the library calls its user. */
enum Point {
    PAUSE, SAVE_STATE, RESUME, PROGRESS, MAPPED, VIEW, POPULATED, READ, ARM, HARVEST, LEARN, DISARM, CLOSE;

    private static final List<Point> ALL = List.of(values());

    static Point any(SplittableRandom random) {
        return ALL.get(random.nextInt(ALL.size()));
    }
}
