package io.microsnap.dedup;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dedup.TwoImages.Pattern;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/** Pairs of images by the hundred, on real filesystems: the bytes stay, and the space comes back. */
class PairCampaignTest {
    private static final int[] DIFFERING_PERCENT = {0, 1, 5, 50, 100};
    private static final List<Pattern> PATTERNS = List.of(Pattern.values());
    private static final long LEAST_BYTES = 1 << 20;
    private static final double LEAST_RETURNED = 0.9;
    /** What btrfs keeps of an extent, in two trees and each twice: a tenth of a page that is shared singly. */
    private static final long BTRFS_BYTES_FOR_AN_EXTENT = 512;

    @RealFileSystems({XFS, BTRFS})
    void sharedInPlaceTheBytesStayAndTheSpaceComesBack(Path directory, FileSystemKind kind, Seed seed)
            throws IOException {
        campaign(directory, kind, Engine.SHARE_IN_PLACE, seed);
    }

    @RealFileSystems({XFS, BTRFS})
    void clonedAndSwappedTheBytesStayAndTheSpaceComesBack(Path directory, FileSystemKind kind, Seed seed)
            throws IOException {
        campaign(directory, kind, Engine.CLONE_AND_SWAP, seed);
    }

    private void campaign(Path directory, FileSystemKind kind, Engine engine, Seed seed) throws IOException {
        FileDeduplicator deduplicator = new FileDeduplicator(Posix.host());
        SplittableRandom random = seed.random();
        // For each engine on each filesystem: 200 in all.
        int pairs = Effort.choose(5, 20, 1000);
        long equalBytes = 0;
        long returnedBytes = 0;
        for (int pair = 0; pair < pairs; pair++) {
            int percent = DIFFERING_PERCENT[pair % DIFFERING_PERCENT.length];
            Pattern pattern = PATTERNS.get(pair / DIFFERING_PERCENT.length % PATTERNS.size());
            long length = (2 + random.nextInt(7)) * (1L << 20) - (random.nextBoolean() ? random.nextInt(4095) : 0);
            int holes = random.nextBoolean() ? 0 : random.nextInt(60);
            String what = "pair " + pair + ": " + length + " bytes, " + percent + " % " + pattern + ", " + holes
                    + " % holes, " + engine;
            TwoImages images = TwoImages.make(directory, random, length, percent, pattern, holes);
            byte[] before = Files.readAllBytes(images.target);
            byte[] canonical = Files.readAllBytes(images.canonical);
            long free = TwoImages.freeBytes(directory);
            DedupOutcome outcome = deduplicator.deduplicate(images.canonical, images.target,
                    DedupOptions.DEFAULTS.with(engine).with(FragmentationPolicy.DEFAULT.sharingEverything())
                            .withThreads(1 + pair % 2));
            long returned = TwoImages.freeBytes(directory) - free;
            assertSame(images.target, before, what);
            assertSame(images.canonical, canonical, what);
            if (images.equalDataBytes == 0) {
                assertThat(outcome).as(what).isInstanceOf(DedupOutcome.LeftAlone.class);
            } else {
                assertThat(outcome).as(what).isInstanceOf(DedupOutcome.Deduplicated.class);
            }
            if (images.equalDataBytes >= LEAST_BYTES) {
                assertThat(returned + bookkeeping(kind, outcome))
                        .as(what + ": of " + images.equalDataBytes + " equal bytes; " + outcome)
                        .isGreaterThanOrEqualTo((long) (LEAST_RETURNED * images.equalDataBytes));
            }
            equalBytes += images.equalDataBytes;
            returnedBytes += returned;
            try (var names = Files.list(directory)) {
                assertThat(names).as(what).containsExactlyInAnyOrder(images.canonical, images.target);
            }
            Files.delete(images.canonical);
            Files.delete(images.target);
        }
        assertThat(returnedBytes).as("returned in all, " + seed)
                .isGreaterThanOrEqualTo((long) (LEAST_RETURNED * equalBytes));
        System.out.println(pairs + " pairs, " + engine + ", " + seed + ": " + returnedBytes * 100.0 / equalBytes
                + " % of " + equalBytes + " equal bytes returned");
    }

    private static void assertSame(Path file, byte[] before, String what) throws IOException {
        assertThat(Arrays.mismatch(Files.readAllBytes(file), before)).as("%s: the first byte of %s that differs", what,
                file).isEqualTo(-1);
    }

    private static long bookkeeping(FileSystemKind kind, DedupOutcome outcome) {
        return kind == BTRFS && outcome instanceof DedupOutcome.Deduplicated(DedupReport report)
                ? report.after().orElseThrow().extents() * BTRFS_BYTES_FOR_AN_EXTENT : 0;
    }
}
