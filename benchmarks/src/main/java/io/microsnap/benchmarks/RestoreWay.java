package io.microsnap.benchmarks;

import io.microsnap.core.HugePages;
import io.microsnap.memory.Prefetch;
import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoreEngine;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.memory.WorkingSetRecording;
import java.io.IOException;
import java.util.Locale;

/** The ways of restoring that are measured, each beside what a program in C does in its place. */
enum RestoreWay {
    LAZY("map") {
        @Override
        RestoredSnapshot restore(Restore restore) throws IOException {
            return restore.prefetch(Prefetch.NONE).restore(RestoreEngine.LAZY);
        }
    },
    WORKING_SET("map") {
        @Override
        RestoredSnapshot restore(Restore restore) throws IOException {
            return restore.threads(2).prefetch(Prefetch.WORKING_SET).restore(RestoreEngine.LAZY);
        }

        @Override
        void learn(Restore restore, TouchPlan plan) throws IOException {
            try (RestoredSnapshot restored = restore.recordable().prefetch(Prefetch.NONE).restore(RestoreEngine.LAZY);
                    WorkingSetRecording recording = restored.recordWorkingSet()) {
                plan.touch(restored.memory().mapping(0), 0, plan.pages());
                recording.save();
            }
        }
    },
    POPULATE("populate") {
        @Override
        RestoredSnapshot restore(Restore restore) throws IOException {
            return restore.prefetch(Prefetch.EVERYTHING).restore(RestoreEngine.LAZY);
        }
    },
    EAGER("read") {
        @Override
        RestoredSnapshot restore(Restore restore) throws IOException {
            return restore.restore(RestoreEngine.EAGER);
        }
    },
    MEMFD("memfd") {
        @Override
        RestoredSnapshot restore(Restore restore) throws IOException {
            return restore.restore(RestoreEngine.MEMFD);
        }
    },
    HUGE_PAGES("huge") {
        @Override
        RestoredSnapshot restore(Restore restore) throws IOException {
            return restore.hugePages(HugePages.TRANSPARENT).restore(RestoreEngine.EAGER);
        }
    };

    private final String peer;

    RestoreWay(String peer) {
        this.peer = peer;
    }

    /** Restores, with the options that belong to this way. */
    abstract RestoredSnapshot restore(Restore restore) throws IOException;

    /** Learns before anything is measured what the guest is going to touch, where this way can. */
    void learn(Restore restore, TouchPlan plan) throws IOException {
    }

    /** What the peer does. */
    String peer() {
        return peer;
    }

    /** Whether this way maps the image, so that it takes no memory of its own. */
    boolean maps() {
        return peer.equals("map") || peer.equals("populate");
    }

    String label() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
