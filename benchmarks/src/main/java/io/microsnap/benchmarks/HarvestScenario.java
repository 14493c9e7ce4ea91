package io.microsnap.benchmarks;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.HugePages;
import io.microsnap.core.internal.file.Advice;
import io.microsnap.core.internal.file.GuestRam;
import io.microsnap.core.internal.file.Mapping;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dirty.DirtyBitmap;
import io.microsnap.dirty.DirtySource;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;

/** A page map scan into a dirty bitmap beside the same in C. */
public final class HarvestScenario implements Scenario {
    private static final int PAGE = 4096;
    private static final int ROUNDS = 50;

    private final long guestBytes;
    private final int dirtyPages;

    /** A guest of that size, a power of two, of which that many random pages are written before each harvest. */
    public HarvestScenario(long guestBytes, int dirtyPages) {
        this.guestBytes = guestBytes;
        this.dirtyPages = dirtyPages;
    }

    @Override
    public String name() {
        return "page-map-harvest/" + Sizes.name(guestBytes) + "/" + dirtyPages;
    }

    @Override
    public String question() {
        return "Harvesting " + dirtyPages + " written pages of " + (guestBytes >> 20) + " MiB by a page map scan";
    }

    @Override
    public Target target() {
        return Target.timeAtMost(1.2);
    }

    @Override
    public long workingSetBytes() {
        return 2 * guestBytes;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        Posix posix = Posix.host();
        GuestLayout layout = GuestLayout.ofSingleRegion(PAGE, guestBytes);
        Mapping mapping = Mapping.anonymous(posix, guestBytes, HugePages.NONE);
        GuestRam ram = workbench.closeLater(GuestRam.of(layout, mapping));
        mapping.advise(0, guestBytes, Advice.NO_HUGE_PAGES);
        MemorySegment memory = mapping.segment().fill((byte) 1);
        DirtySource source = workbench.closeLater(DirtySource.ofPageMap(ram));
        source.arm();
        DirtyBitmap bitmap = DirtyBitmap.of(layout);
        SplittableRandom random = new SplittableRandom(1);
        PeerResult result = new PeerResult(workbench);
        return new Duel(
                () -> {
                    long nanos = 0;
                    for (int round = 0; round < ROUNDS; round++) {
                        bitmap.clear();
                        writePages(memory, bitmap, random);
                        bitmap.clear();
                        long start = System.nanoTime();
                        source.harvest(bitmap);
                        nanos += System.nanoTime() - start;
                        result.ours(bitmap.count());
                    }
                    return nanos;
                },
                workbench.peer(
                        HarvestScenario.class, "harvest.c", guestBytes / PAGE, dirtyPages, ROUNDS, result.file()),
                result::requireSame);
    }

    private void writePages(MemorySegment memory, DirtyBitmap chosen, SplittableRandom random) {
        int written = 0;
        while (written < dirtyPages) {
            long offset = random.nextLong(guestBytes / PAGE) * PAGE;
            if (chosen.set(offset)) {
                memory.set(ValueLayout.JAVA_BYTE, offset, (byte) written);
                written++;
            }
        }
    }
}
