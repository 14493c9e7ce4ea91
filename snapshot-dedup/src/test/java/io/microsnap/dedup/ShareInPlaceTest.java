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

/** What the kernel is asked to share, at what rate, and what is made of its answers. */
class ShareInPlaceTest {
    private static final int PAGE = TwoImages.PAGE;
    private static final int MIB = 1 << 20;
    private static final int LENGTH = 8 * MIB;
    private static final int STEP = Effort.choose(40, 20, 1);
    private static final long NANOS_IN_SECOND = 1_000_000_000;
    private static final long FIDEDUPERANGE = 0xC0189436L;

    /** Indexes leave pages unread: they are shared as they are, and no byte of them is read here. */
    @RealFileSystems(FileSystemKind.XFS)
    void whatIsSharedUnreadIsPacedCountedAndFetchedAhead(Path directory) throws IOException {
        FaultyPosix watched = FaultyPosix.host();
        List<Integer> fetched = new ArrayList<>();
        watched.before(call -> {
            if (call.name().equals("ioctl") && call.arguments().get(1).equals(FIDEDUPERANGE)) {
                fetched.add(watched.calls("posix_fadvise"));
            }
        });
        long[] now = {0};
        Pacer pacer = new Pacer(MIB, () -> now[0], nanos -> now[0] += nanos);
        sharing(directory, watched.posix(), pacer, List.of(), (sharing, comparison) -> {
            List<Long> told = new ArrayList<>();
            long shared = sharing.share(null, new Steps((done, total) -> told.add(done), LENGTH));
            // Returns when all before it was allowed.
            pacer.await(1);
            assertThat(shared).isEqualTo(LENGTH);
            assertThat(comparison.readPages()).isZero();
            assertThat(now[0]).as("both files' bytes, one MiB a second")
                    .isEqualTo(2 * LENGTH / MIB * NANOS_IN_SECOND);
            assertThat(told).containsExactly(LENGTH / 2L, (long) LENGTH);
            assertThat(fetched).as("of both files, the second half before the first is shared").containsExactly(2, 2);
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
        assertThat(calls).as("requests and reads").isGreaterThan(50);
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
