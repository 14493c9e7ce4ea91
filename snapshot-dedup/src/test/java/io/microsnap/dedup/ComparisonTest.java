package io.microsnap.dedup;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.file.Durability;
import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.dedup.DedupOutcome.Deduplicated;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Pages need not be of the size of the filesystem's blocks. */
class ComparisonTest {
    private static final int BLOCK = 4096;

    @RealFileSystems({XFS, BTRFS})
    void aPageCountsAsSharedOnlyIfAllItsBlocksAre(Path directory) throws IOException {
        int page = 4 * BLOCK;
        Path canonicalPath = Files.write(directory.resolve("canonical"), TwoImages.bytes(4 * page + 5000, 1));
        Path targetPath = directory.resolve("target");
        assertThat(new Reflink().clone(Posix.host(), canonicalPath, targetPath, Durability.FULL).isCloned()).isTrue();
        FileDeduplicatorTest.write(targetPath, page, TwoImages.bytes(BLOCK, 2));
        FileDeduplicatorTest.write(targetPath, 3 * page - BLOCK, TwoImages.bytes(BLOCK, 3));
        try (Descriptor canonical = TwoImages.open(canonicalPath); Descriptor target = TwoImages.open(targetPath)) {
            Comparison comparison = new Comparison(ImagePair.ofOurOwn(canonical, target), page);
            comparison.holes();
            comparison.sharedBlocks();
            List<Verdict> verdicts = new ArrayList<>();
            for (int at = 0; at < comparison.verdicts().pageCount(); at++) {
                verdicts.add(comparison.verdicts().at(at));
            }
            assertThat(verdicts).containsExactly(
                    Verdict.SHARED, Verdict.UNREAD, Verdict.UNREAD, Verdict.SHARED, Verdict.SHARED);
        }
    }

    @RealFileSystems(XFS)
    void ofPagesSmallerThanABlockWholeBlocksAreShared(Path directory) throws IOException {
        int page = BLOCK / 4;
        int length = 32 * BLOCK + 2 * page + 700;
        byte[] bytes = TwoImages.bytes(length, 1);
        byte[] changed = bytes.clone();
        changed[BLOCK + page]++;
        changed[10 * BLOCK]++;
        assertThat(shareInPlace(Files.createDirectory(directory.resolve("two")), bytes, changed, page))
                .isEqualTo(length - 2 * BLOCK);
        changed = bytes.clone();
        for (int at = 0; at < length - page; at += page) {
            changed[at]++;
        }
        assertThat(shareInPlace(Files.createDirectory(directory.resolve("all")), bytes, changed, page))
                .as("the last page alone is no block").isZero();
    }

    private static long shareInPlace(Path directory, byte[] canonicalBytes, byte[] targetBytes, int pageBytes)
            throws IOException {
        TwoImages images = TwoImages.of(directory, canonicalBytes, targetBytes);
        try (Descriptor canonical = TwoImages.open(images.canonical);
                Descriptor target = TwoImages.open(images.target)) {
            DedupOutcome outcome = PairDedup.run(new PairDedup.Images(canonical, target, pageBytes, Optional.empty()),
                    new Unneeded(), DedupOptions.DEFAULTS.with(Engine.SHARE_IN_PLACE)
                            .with(FragmentationPolicy.DEFAULT.sharingEverything()), new Reflink());
            assertThat(outcome).isInstanceOf(Deduplicated.class);
            assertThat(images.target).hasBinaryContent(targetBytes);
            return ((Deduplicated) outcome).report().sharedBytes();
        }
    }

    /** In place on XFS nothing new is made. */
    private static final class Unneeded implements Workplace {
        @Override
        public void withScratchFile(Use use) {
            throw new AssertionError("a scratch file");
        }

        @Override
        public boolean isTargetInUse() {
            return false;
        }

        @Override
        public Successor clone(Descriptor canonical) {
            throw new AssertionError("a clone");
        }
    }
}
