package io.microsnap.benchmarks;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.RangeConsumer;
import io.microsnap.dirty.DirtyBitmap;
import java.io.IOException;
import java.util.List;

/** A dirty bitmap beside the same bits in a plain array in C. */
public final class BitmapScenario implements Scenario {
    private static final int PAGE = 4096;
    private static final long GIB = 1 << 30;
    private static final long STRIDE = 0x9E3779B97F4A7C15L | 1;

    private final String job;
    private final String question;
    private final Target target;
    private final long guestBytes;
    private final int rounds;
    private final Preparation preparation;
    private final Measured measured;

    private BitmapScenario(String job, String question, Target target, long guestBytes, int rounds,
            Preparation preparation, Measured measured) {
        this.job = job;
        this.question = question;
        this.target = target;
        this.guestBytes = guestBytes;
        this.rounds = rounds;
        this.preparation = preparation;
        this.measured = measured;
    }

    /** One for each job. */
    public static List<Scenario> all() {
        return List.of(
                new BitmapScenario("set-dirty",
                        "Setting bits that are set already, over the bitmap of a 64 GiB guest; C: load, test",
                        Target.timeAtMost(1.2), 64 * GIB, 2,
                        bitmap -> bitmap.mark(0, bitmap.layout().lengthBytes()), BitmapScenario::setAll),
                new BitmapScenario("set-clean",
                        "Setting clean bits, over the bitmap of a 64 GiB guest; C: lock or",
                        Target.timeAtMost(1.5), 64 * GIB, 1,
                        DirtyBitmap::clear, BitmapScenario::setAll),
                new BitmapScenario("scan",
                        "Scanning the clean bitmap of a 1 TiB guest (32 MiB)",
                        Target.speedAtLeast(0.8), 1024 * GIB, 20,
                        bitmap -> { }, BitmapScenario::sumOfRuns),
                new BitmapScenario("runs",
                        "Runs of a bitmap of a 256 GiB guest with 1 % of its pages dirty, at random",
                        Target.timeAtMost(1.3), 256 * GIB, 5,
                        BitmapScenario::dirtyOnePercent, BitmapScenario::sumOfRuns));
    }

    private interface Preparation {
        void make(DirtyBitmap bitmap);
    }

    private interface Measured {
        long once(DirtyBitmap bitmap) throws IOException;
    }

    private static long setAll(DirtyBitmap bitmap) {
        long pages = bitmap.blockCount();
        long transitions = 0;
        for (long count = 0; count < pages; count++) {
            transitions += bitmap.set(((count * STRIDE) & (pages - 1)) * PAGE) ? 1 : 0;
        }
        return transitions;
    }

    private static void dirtyOnePercent(DirtyBitmap bitmap) {
        bitmap.clear();
        long pages = bitmap.blockCount();
        long state = 88172645463325252L;
        for (long count = 0; count < pages / 100; count++) {
            state ^= state << 13;
            state ^= state >>> 7;
            state ^= state << 17;
            bitmap.set(((state >>> 20) & (pages - 1)) * PAGE);
        }
    }

    private static long sumOfRuns(DirtyBitmap bitmap) throws IOException {
        Sum sum = new Sum();
        bitmap.runs(0, sum);
        return sum.value;
    }

    private static final class Sum implements RangeConsumer {
        private long value;

        @Override
        public void accept(long offset, long lengthBytes) {
            value = value * 31 + offset + lengthBytes;
        }
    }

    @Override
    public String name() {
        return "dirty-bitmap/" + job;
    }

    @Override
    public String question() {
        return question;
    }

    @Override
    public Target target() {
        return target;
    }

    @Override
    public long workingSetBytes() {
        return guestBytes / PAGE / Byte.SIZE * 2;
    }

    @Override
    public Duel prepare(Workbench workbench) throws Exception {
        DirtyBitmap bitmap = DirtyBitmap.of(GuestLayout.ofSingleRegion(PAGE, guestBytes));
        PeerResult result = new PeerResult(workbench);
        return new Duel(
                Contestant.java(() -> preparation.make(bitmap), () -> {
                    long sum = 0;
                    for (int round = 0; round < rounds; round++) {
                        sum = measured.once(bitmap);
                    }
                    result.ours(sum);
                }),
                workbench.peer(BitmapScenario.class, "bitmap.c", job, bitmap.blockCount(), rounds, result.file()),
                result::requireSame);
    }
}
