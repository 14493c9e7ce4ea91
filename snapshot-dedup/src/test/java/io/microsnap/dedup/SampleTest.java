package io.microsnap.dedup;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.file.Extents;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Images without indexes that are much alike: a sample is read, and beyond it only what the kernel finds different. */
class SampleTest {
    private static final int PAGE = 4096;
    private static final int MIB = 1 << 20;
    private static final int PAGES_IN_MIB = MIB / PAGE;
    /** One piece in sixteen is sampled; of the others only the next holds data. */
    private static final int STRIDE = 16 * MIB;
    private static final int STRIDES = 32;

    private final FileDeduplicator deduplicator = new FileDeduplicator(Posix.host());

    @RealFileSystems(FileSystemKind.XFS)
    void whatASampleDidNotShowTheKernelFinds(Path directory, Seed seed) throws IOException {
        // Two pages that differ and a lonely equal one between them; then a page that differs at the very end.
        List<Integer> changed = new ArrayList<>();
        for (int stride : new int[] {3, 17, 31}) {
            int unsampled = stride * STRIDE + MIB;
            changed.addAll(List.of(unsampled + 40 * PAGE, unsampled + 42 * PAGE, unsampled + MIB - PAGE));
        }
        long content = seed.random().nextLong();
        Path canonical = image(directory.resolve("canonical"), content, List.of());
        Path target = image(directory.resolve("target"), content, changed);
        Path expected = image(directory.resolve("expected"), content, changed);
        DedupReport report = deduplicated(canonical, target, DedupOptions.DEFAULTS);
        assertThat(report.pages().read()).as("the sample, one look into every other piece, and three of them whole")
                .isEqualTo((STRIDES + 3) * PAGES_IN_MIB + STRIDES - 3);
        assertThat(report.pages().different()).as("not the lonely ones between them").isEqualTo(3 * 3);
        assertThat(report.after().orElseThrow().sharedBytes())
                .isEqualTo((2L * STRIDES * PAGES_IN_MIB - 3 * 3) * PAGE);
        assertThat(Files.mismatch(target, expected)).isEqualTo(-1);
    }

    @RealFileSystems(FileSystemKind.XFS)
    void whereASampleLeavesDoubtEverythingIsRead(Path directory, Seed seed) throws IOException {
        List<Integer> quarter = new ArrayList<>();
        List<Integer> scattered = new ArrayList<>();
        for (int start = 0; start < STRIDES * STRIDE; start += STRIDE) {
            for (int page = 0; page < PAGES_IN_MIB / 4; page++) {
                quarter.add(start + page * PAGE);
            }
            scattered.addAll(List.of(start + PAGE, start + 99 * PAGE));
        }
        long content = seed.random().nextLong();
        Path canonical = image(directory.resolve("canonical"), content, List.of());
        Path quarterChanged = image(directory.resolve("quarter"), content, quarter);
        assertThat(deduplicated(canonical, quarterChanged, DedupOptions.DEFAULTS).pages().read())
                .isEqualTo(2 * STRIDES * PAGES_IN_MIB);
        Path runs = image(directory.resolve("runs"), content, scattered);
        // 64 runs in a sixteenth are 1024 in all, of two cuts each; a budget of twice as many is safe from chance.
        FragmentationPolicy tight = FragmentationPolicy.DEFAULT.withExtentsPerGiBToShare(2 * 4096 - 1);
        assertThat(deduplicated(canonical, runs, DedupOptions.DEFAULTS.with(tight)).pages().read())
                .isEqualTo(2 * STRIDES * PAGES_IN_MIB);
    }

    /** Pages that differ are moved out of the way of those that will be shared, and so must be known first. */
    @RealFileSystems(FileSystemKind.BTRFS)
    void whereOnlyWholeExtentsAreFreedEverythingIsRead(Path directory, Seed seed) throws IOException {
        long content = seed.random().nextLong();
        Path canonical = image(directory.resolve("canonical"), content, List.of());
        Path target = image(directory.resolve("target"), content, List.of(3 * STRIDE + MIB));
        assertThat(deduplicated(canonical, target, DedupOptions.DEFAULTS).pages().read())
                .isEqualTo(2 * STRIDES * PAGES_IN_MIB);
    }

    @RealFileSystems(FileSystemKind.XFS)
    void whatTheKernelIsToCompareIsFetchedAhead(Path directory, Seed seed) throws IOException {
        long content = seed.random().nextLong();
        Path canonical = image(directory.resolve("canonical"), content, List.of());
        Path target = image(directory.resolve("target"), content, List.of());
        FaultyPosix watched = FaultyPosix.host();
        List<Integer> fetched = new ArrayList<>();
        watched.before(call -> {
            if (call.name().equals("ioctl") && call.arguments().get(1).equals(0xC0189436L)) {
                fetched.add(watched.calls("posix_fadvise"));
            }
        });
        DedupOutcome outcome = new FileDeduplicator(watched.posix())
                .deduplicate(canonical, target, DedupOptions.DEFAULTS.with(Engine.SHARE_IN_PLACE));
        assertThat(outcome).isInstanceOf(DedupOutcome.Deduplicated.class);
        // The first asks for nothing, the second is the probe; at the third, of what was not sampled, both files are on
        // their way.
        assertThat(fetched.get(2)).isGreaterThanOrEqualTo(2);
    }

    /** Of 32 pieces, which are just enough, one has nothing to tell. */
    @RealFileSystems(FileSystemKind.XFS)
    void whereTooFewPiecesHoldDataEverythingIsRead(Path directory, Seed seed) throws IOException {
        long content = seed.random().nextLong();
        Path canonical = image(directory.resolve("canonical"), content, List.of());
        Path target = image(directory.resolve("target"), content, List.of());
        for (Path each : List.of(canonical, target)) {
            try (Descriptor file = Descriptor.open(Posix.host(), each, Posix.host().constants().O_RDWR, 0)) {
                assertThat(Extents.punch(file, 7 * STRIDE, 2 * MIB)).isTrue();
            }
        }
        assertThat(deduplicated(canonical, target, DedupOptions.DEFAULTS).pages().read())
                .isEqualTo(2 * (STRIDES - 1) * PAGES_IN_MIB);
    }

    @Test
    void differencesAreLookedForAtTheDistanceOfTheirLength() {
        assertThat(new Sample(64, 16_000, 64 * 5 + 3, 5, 16).pagesBetweenLooks()).hasValue(64);
        assertThat(new Sample(64, 16_000, 16 * 5, 5, 16).pagesBetweenLooks()).hasValue(16);
        assertThat(new Sample(64, 16_000, 16 * 5 - 1, 5, 16).pagesBetweenLooks()).isEmpty();
        assertThat(new Sample(64, 16_000, 4000, 2, 16).pagesBetweenLooks()).hasValue(256);
        assertThat(new Sample(64, 16_000, 0, 0, 16).pagesBetweenLooks()).hasValue(256);
    }

    private DedupReport deduplicated(Path canonical, Path target, DedupOptions options) throws IOException {
        DedupOutcome outcome =
                deduplicator.deduplicate(canonical, target, options.with(Engine.SHARE_IN_PLACE));
        assertThat(outcome).isInstanceOf(DedupOutcome.Deduplicated.class);
        return ((DedupOutcome.Deduplicated) outcome).report();
    }

    /** Random bytes, the same for the same seed; at the changed offsets another one. Blocks are shared with nothing. */
    private static Path image(Path file, long seed, List<Integer> changed) throws IOException {
        Random random = new Random(seed);
        byte[] data = new byte[2 * MIB];
        try (RandomAccessFile image = new RandomAccessFile(file.toFile(), "rw")) {
            image.setLength((long) STRIDES * STRIDE);
            for (int start = 0; start < STRIDES * STRIDE; start += STRIDE) {
                random.nextBytes(data);
                for (int offset : changed) {
                    if (offset >= start && offset < start + data.length) {
                        data[offset - start]++;
                    }
                }
                image.seek(start);
                image.write(data);
            }
        }
        return file;
    }
}
