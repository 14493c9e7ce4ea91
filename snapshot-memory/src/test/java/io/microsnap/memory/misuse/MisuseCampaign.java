package io.microsnap.memory.misuse;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.memory.Capture;
import io.microsnap.memory.CaptureKind;
import io.microsnap.memory.InMemoryPageReader;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Rounds of misuse in a process of its own, which must survive them and have nothing left open. Arguments: a directory,
 * a seed, how many rounds.
 */
final class MisuseCampaign {
    /** A new way of misuse is a class and a line here. */
    private static final List<Misuse> WAYS =
            List.of(new ClosedInAnyOrder(), new UsedAfterClose(), new MappingsNearlyUsedUp());
    private static final int PAGE = 4096;
    private static final int RUNS = 60;
    private static final PausableMachine PAUSED = PausableMachine.pausedAlready(List.of());
    /** Of the JVM itself: its threads, its compiler. */
    private static final long JVM_MAPPINGS = 200;

    private MisuseCampaign() {
    }

    public static void main(String[] arguments) throws Exception {
        SplittableRandom random = new SplittableRandom(Long.parseLong(arguments[1]));
        int rounds = Integer.parseInt(arguments[2]);
        InMemoryPageReader guest = InMemoryPageReader.of(GuestLayout.ofSingleRegion(PAGE, RUNS * 4L * PAGE));
        try (DirectoryStore store = DirectoryStore.openOrCreate(
                Posix.host(), Path.of(arguments[0], "store"), StoreOptions.PRIVATE)) {
            bake(store, guest);
            long descriptors = 0;
            long mappings = 0;
            for (int round = 0; round < rounds; round++) {
                if (round == WAYS.size()) {
                    // By then everything that stays open has been opened.
                    descriptors = ProcessLimits.descriptors();
                    mappings = ProcessLimits.mappings();
                }
                Misuse way = WAYS.get(round % WAYS.size());
                try {
                    way.round(store, guest, random.split());
                } catch (Throwable failure) {
                    throw new AssertionError("round " + round + ", " + way.getClass().getSimpleName(), failure);
                }
            }
            Misuse.require(ProcessLimits.descriptors() <= descriptors, "descriptors are left open: "
                    + ProcessLimits.descriptors() + " after " + descriptors);
            Misuse.require(ProcessLimits.mappings() <= mappings + JVM_MAPPINGS, "mappings are left: "
                    + ProcessLimits.mappings() + " after " + mappings);
        }
        System.out.println("survived " + rounds + " rounds");
    }

    private static void bake(DirectoryStore store, InMemoryPageReader guest) throws IOException {
        try (DirtyTracker marks = DirtyTracker.ofMarks(guest.layout())) {
            for (long offset = 0; offset < guest.layout().lengthBytes(); offset += PAGE) {
                guest.bytes().set(ValueLayout.JAVA_LONG, offset, offset + 1);
            }
            Capture.of(store, Misuse.BASE, guest).tracker(marks).take(PAUSED);
            for (long run = 0; run < RUNS; run++) {
                guest.bytes().set(ValueLayout.JAVA_LONG, run * 4 * PAGE, -run - 1);
                marks.markWritten(run * 4 * PAGE, PAGE);
            }
            Capture.of(store, Misuse.DIFF, guest).tracker(marks).kind(CaptureKind.DIFF).take(PAUSED);
        }
    }
}
