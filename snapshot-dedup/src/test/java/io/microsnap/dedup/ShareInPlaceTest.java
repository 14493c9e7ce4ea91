package io.microsnap.dedup;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.file.Reflink;
import io.microsnap.core.internal.posix.Descriptor;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dedup.internal.Steps;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/** What the kernel is asked to share, at what rate, and what is made of its answers. */
class ShareInPlaceTest {
    private static final int PAGE = TwoImages.PAGE;
    private static final int MIB = 1 << 20;
    private static final int PAGES_IN_MIB = MIB / PAGE;
    private static final int LENGTH = 8 * MIB;
    private static final int STEP = Effort.choose(40, 20, 1);
    private static final long NANOS_IN_SECOND = 1_000_000_000;
    private static final long FIDEDUPERANGE = 0xC0189436L;

    @RealFileSystems(FileSystemKind.XFS)
    void whatIsTriedUnreadIsPacedAndCounted(Path directory) throws IOException {
        long[] now = {0};
        Pacer pacer = new Pacer(MIB, () -> now[0], nanos -> now[0] += nanos);
        sharing(directory, Posix.host(), pacer, List.of(3 * PAGES_IN_MIB + 7), (sharing, comparison) -> {
            List<Long> told = new ArrayList<>();
            sharing.tryUnread(OptionalInt.empty(), new Steps((done, total) -> told.add(done), 2 * LENGTH));
            // Returns when all before it was allowed.
            pacer.await(1);
            assertThat(now[0]).as("both files' bytes, one MiB a second")
                    .isEqualTo(2 * LENGTH / MIB * NANOS_IN_SECOND);
            assertThat(comparison.readPages()).isZero();
            assertThat(mibs(comparison.verdicts())).as("of one MiB the kernel found a difference in").containsExactly(
                    Verdict.SHARED, Verdict.SHARED, Verdict.SHARED, Verdict.UNREAD,
                    Verdict.SHARED, Verdict.SHARED, Verdict.SHARED, Verdict.SHARED);
            assertThat(told).containsExactly(2L * MIB, 4L * MIB, 6L * MIB, 8L * MIB, 10L * MIB, 12L * MIB, 14L * MIB);
        });
    }

    @RealFileSystems(FileSystemKind.XFS)
    void aDifferenceThatWasOverlookedIsTriedAroundInShorterPieces(Path directory) throws IOException {
        FaultyPosix watched = FaultyPosix.host();
        sharing(directory, watched.posix(), unlimited(), List.of(2 * PAGES_IN_MIB + 7), (sharing, comparison) -> {
            sharing.tryUnread(OptionalInt.of(PAGES_IN_MIB), steps());
            assertThat(comparison.verdicts().at(2 * PAGES_IN_MIB + 7)).isEqualTo(Verdict.UNREAD);
            assertThat(mibs(comparison.verdicts())).containsExactly(
                    Verdict.SHARED, Verdict.SHARED, Verdict.EQUAL, Verdict.SHARED,
                    Verdict.SHARED, Verdict.SHARED, Verdict.SHARED, Verdict.SHARED);
            assertThat(watched.calls("ioctl")).as("two of 4 MiB, and four for the one that failed").isEqualTo(2 + 4);
        });
    }

    @RealFileSystems(FileSystemKind.XFS)
    void aRunThatALookFoundIsNotTried(Path directory) throws IOException {
        FaultyPosix watched = FaultyPosix.host();
        List<Integer> run = new ArrayList<>();
        for (int page = 300; page < 370; page++) {
            run.add(page);
        }
        sharing(directory, watched.posix(), unlimited(), run, (sharing, comparison) -> {
            sharing.tryUnread(OptionalInt.of(64), steps());
            assertThat(comparison.verdicts().at(0)).isEqualTo(Verdict.SHARED);
            assertThat(comparison.verdicts().runEnd(0, 2048)).isEqualTo(300);
            assertThat(comparison.verdicts().at(370)).isEqualTo(Verdict.SHARED);
            assertThat(comparison.verdicts().runEnd(370, 2048)).isEqualTo(2048);
            assertThat(watched.calls("ioctl")).as("before it, behind it and the other half").isEqualTo(3);
        });
    }

    @RealFileSystems(FileSystemKind.XFS)
    void whereTheIndexesWereWrongWhatIsReallyEqualIsSharedAll(Path directory) throws IOException {
        for (Verdict wrong : List.of(Verdict.EQUAL, Verdict.UNREAD, Verdict.UNREAD_AGAINST_HOLE)) {
            sharing(directory, Posix.host(), unlimited(), List.of(5, 700), (sharing, comparison) -> {
                PageVerdicts verdicts = comparison.verdicts();
                verdicts.fill(0, verdicts.pageCount(), wrong);
                List<Long> told = new ArrayList<>();
                long shared = sharing.share(null, new Steps((done, total) -> told.add(done), LENGTH));
                assertThat(shared).as("%s", wrong).isEqualTo(LENGTH - 2 * PAGE);
                assertThat(List.of(verdicts.at(5), verdicts.at(700), verdicts.at(6)))
                        .containsExactly(Verdict.DIFFERENT, Verdict.DIFFERENT, Verdict.EQUAL);
                assertThat(told).containsExactly(LENGTH / 2L, (long) LENGTH);
            });
        }
    }

    @RealFileSystems(FileSystemKind.XFS)
    void whatIsWrittenBetweenReadingAndSharingCountsAsDifferent(Path directory) throws IOException {
        FaultyPosix watched = FaultyPosix.host();
        int[] asked = {0};
        watched.before(call -> {
            if (call.name().equals("ioctl") && call.arguments().get(1).equals(FIDEDUPERANGE) && ++asked[0] == 2) {
                FileDeduplicatorTest.write(directory.resolve("target"), 0, new byte[1]);
            }
        });
        sharing(directory, watched.posix(), unlimited(), List.of(5), (sharing, comparison) -> {
            PageVerdicts verdicts = comparison.verdicts();
            verdicts.fill(0, verdicts.pageCount(), Verdict.EQUAL);
            assertThat(sharing.share(null, steps())).isEqualTo(LENGTH - 6 * PAGE);
            assertThat(verdicts.at(0)).isEqualTo(Verdict.DIFFERENT);
            assertThat(verdicts.runEnd(0, verdicts.pageCount())).isEqualTo(6);
        });
    }

    @RealFileSystems(FileSystemKind.XFS)
    void whereverItFailsTheTargetKeepsItsBytes(Path directory, Seed seed) throws IOException {
        List<Integer> run = new ArrayList<>();
        for (int page = 300; page < 370; page++) {
            run.add(page);
        }
        int calls = callsWithFault(directory, run, Integer.MAX_VALUE);
        assertThat(calls).as("looks, tries and reads").isGreaterThan(50);
        for (int failing = 1 + seed.random().nextInt(STEP); failing <= calls; failing += STEP) {
            callsWithFault(directory, run, failing);
        }
    }

    /** Tells how many calls were made, and holds the target against what it was. */
    private static int callsWithFault(Path directory, List<Integer> different, int failing) throws IOException {
        FaultyPosix faulty = FaultyPosix.host();
        int[] made = {0};
        sharing(directory, faulty.posix(), unlimited(), different, (sharing, comparison) -> {
            int before = faulty.calls();
            faulty.at(before + Math.min(failing, Integer.MAX_VALUE - before)).fails(Errno.EIO);
            try {
                sharing.tryUnread(OptionalInt.of(64), steps());
                comparison.bytes(1, unlimited(), steps());
                sharing.share(null, steps());
            } catch (IOException expected) {
                assertThat(expected).hasMessageContaining("EIO");
            }
            made[0] = faulty.calls() - before;
            byte[] target = TwoImages.bytes(LENGTH, 1);
            different.forEach(page -> target[page * PAGE]++);
            assertThat(directory.resolve("target")).as("call %d failed", failing).hasBinaryContent(target);
        });
        return made[0];
    }

    /** Two images that differ in these pages, of which nobody has read anything. */
    private static void sharing(Path directory, Posix posix, Pacer pacer, List<Integer> different, Test test)
            throws IOException {
        byte[] canonicalBytes = TwoImages.bytes(LENGTH, 1);
        byte[] targetBytes = canonicalBytes.clone();
        different.forEach(page -> targetBytes[page * PAGE]++);
        TwoImages images = TwoImages.of(directory, canonicalBytes, targetBytes);
        int mode = posix.constants().O_RDONLY;
        try (Descriptor canonical = Descriptor.open(posix, images.canonical, mode, 0);
                Descriptor target = Descriptor.open(posix, images.target, mode, 0)) {
            ImagePair pair = ImagePair.ofOurOwn(canonical, target);
            Comparison comparison = new Comparison(pair, PAGE);
            comparison.holes();
            test.run(new ShareInPlace(pair, comparison, new Reflink(), pacer, 1), comparison);
        }
    }

    /** What is known of the first page of each MiB. */
    private static List<Verdict> mibs(PageVerdicts verdicts) {
        List<Verdict> mibs = new ArrayList<>();
        for (long page = 0; page < verdicts.pageCount(); page += PAGES_IN_MIB) {
            mibs.add(verdicts.at(page));
        }
        return mibs;
    }

    private static Pacer unlimited() {
        return new Pacer(Long.MAX_VALUE);
    }

    private static Steps steps() {
        return new Steps((done, total) -> { }, 2 * LENGTH);
    }

    @FunctionalInterface
    private interface Test {
        void run(ShareInPlace sharing, Comparison comparison) throws IOException;
    }
}
