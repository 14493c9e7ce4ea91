package io.microsnap.memory;

import static io.microsnap.testsupport.FileSystemKind.BTRFS;
import static io.microsnap.testsupport.FileSystemKind.EXT4;
import static io.microsnap.testsupport.FileSystemKind.XFS;
import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.GuestLayout;
import io.microsnap.core.PausableMachine;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.dedup.DedupOptions;
import io.microsnap.dedup.DedupOutcome;
import io.microsnap.dedup.DedupOutcome.Reason;
import io.microsnap.dedup.Engine;
import io.microsnap.dedup.internal.AfterBake;
import io.microsnap.dirty.DirtyTracker;
import io.microsnap.store.FragmentationPolicy;
import io.microsnap.store.StoreOptions;
import io.microsnap.store.internal.DirectoryStore;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** A bake shares blocks of a full snapshot with its sibling by itself, and never fails because of it. */
final class AutoDedupTest {
    private static final int PAGE = 4096;
    private static final int LENGTH = 8 << 20;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, LENGTH);
    private static final PausableMachine STANDING = PausableMachine.pausedAlready(List.of());
    private static final SnapshotId OLD = new SnapshotId("old");
    private static final SnapshotId FRESH = new SnapshotId("fresh");
    private static final long FICLONE = Posix.host().constants().FICLONE;
    private static final long FIDEDUPERANGE = 0xC0189436L;

    private final InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
    private final DirtyTracker tracker = DirtyTracker.ofMarks(LAYOUT);

    @RealFileSystems({XFS, BTRFS})
    void aSiblingTakesLessSpaceByItselfAndOnlyWhatIsFullShares(Path on) throws IOException {
        try (DirectoryStore store = open(Posix.host(), on)) {
            bakeOld(store);
            CaptureResult fresh = full(store).take(STANDING);

            assertThat(fresh.dedup()).containsInstanceOf(DedupOutcome.Deduplicated.class);
            assertThat(store.space(FRESH).exclusiveBytes().orElseThrow()).isLessThanOrEqualTo(LENGTH / 10);
            assertThat(store.isHeld(FRESH)).isFalse();
            assertRestores(store);
            CaptureResult onto = Capture.of(store, new SnapshotId("onto"), guest).tracker(tracker).take(STANDING);
            assertThat(onto.kind()).isEqualTo(CaptureKind.ONTO_BASE);
            assertThat(onto.dedup()).isEmpty();
        }
    }

    @RealFileSystems(XFS)
    void everySwitchSwitchesItOff(Path on, ChildProcesses children) throws IOException {
        try (DirectoryStore store = open(Posix.host(), on)) {
            bakeOld(store);
            CaptureResult off = full(store).withoutSharing().take(STANDING);
            assertThat(reason(off)).isEqualTo(Reason.SWITCHED_OFF);
            assertThat(store.space(FRESH).exclusiveBytes().orElseThrow()).isGreaterThanOrEqualTo(LENGTH);
            store.delete(FRESH);

            assertThat(reason(full(store).sharing(DedupOptions.DEFAULTS, Duration.ZERO).take(STANDING)))
                    .isEqualTo(Reason.OUT_OF_TIME);
            assertRestores(store);
            store.delete(FRESH);

            assertThat(reason(full(store).fragmentation(FragmentationPolicy.DEFAULT.withLeastPercentToShare(100))
                    .take(STANDING))).as("the policy is the capture's").isEqualTo(Reason.TOO_FEW_EQUAL);
            store.delete(FRESH);
        }
        assertThat(children.java(Map.of(AfterBake.SWITCH, "0"), Baker.class, on.toString()).awaitExit().output())
                .contains("SWITCHED_OFF");
        assertThat(children.java(Map.of(AfterBake.SWITCH, "1"), Baker.class, on.toString()).awaitExit().output())
                .contains("Deduplicated");
    }

    @RealFileSystems({XFS, BTRFS})
    void whateverFailsInItTheBakeHasSucceeded(Path on) throws IOException {
        try (DirectoryStore store = open(Posix.host(), on)) {
            bakeOld(store);
        }
        for (Errno errno : List.of(Errno.ENOSPC, Errno.EIO)) {
            FaultyPosix faulty = FaultyPosix.host();
            int[] shares = {0};
            faulty.before(call -> {
                // In place it asks for nothing, then for one block, then shares. To swap, it makes a clone first.
                if (call.name().equals("ioctl") && (call.arguments().get(1).equals(FICLONE)
                        || (call.arguments().get(1).equals(FIDEDUPERANGE) && ++shares[0] == 2))) {
                    faulty.at("ioctl", faulty.calls("ioctl") + 1).fails(errno);
                }
            });
            try (DirectoryStore store = open(faulty.posix(), on)) {
                CaptureResult result = full(store).take(STANDING);

                assertThat(result.dedup()).containsInstanceOf(DedupOutcome.Failed.class);
                assertThat(((DedupOutcome.Failed) result.dedup().orElseThrow()).cause())
                        .hasMessageContaining(errno.name());
                assertThat(tracker.parent()).contains(result.reference());
                assertRestores(store);
                store.delete(FRESH);
            }
            assertThat(faulty.openDescriptors()).isEmpty();
        }
    }

    @RealFileSystems(XFS)
    void aBakeThatIsInterruptedAfterwardsIsPublishedAllTheSame(Path on) throws IOException {
        try (DirectoryStore store = open(Posix.host(), on)) {
            bakeOld(store);
            DedupOptions interrupting = DedupOptions.DEFAULTS.with(
                    (done, total) -> Thread.currentThread().interrupt());
            CaptureResult result = full(store).sharing(interrupting).take(STANDING);
            assertThat(Thread.interrupted()).isTrue();
            assertThat(result.dedup()).containsInstanceOf(DedupOutcome.Failed.class);
            assertRestores(store);
        }
    }

    @RealFileSystems({XFS, BTRFS})
    void aCloneMayTakeTheImagesPlace(Path on) throws IOException {
        try (DirectoryStore store = open(Posix.host(), on)) {
            bakeOld(store);
            CaptureResult fresh = full(store)
                    .sharing(DedupOptions.DEFAULTS.with(Engine.CLONE_AND_SWAP)).take(STANDING);
            assertThat(fresh.dedup()).containsInstanceOf(DedupOutcome.Deduplicated.class);
            assertRestores(store);
        }
    }

    @RealFileSystems(EXT4)
    void withoutClonesItSaysSo(Path on) throws IOException {
        try (DirectoryStore store = open(Posix.host(), on)) {
            bakeOld(store);
            assertThat(reason(full(store).take(STANDING))).isEqualTo(Reason.UNSUPPORTED);
        }
    }

    private static DirectoryStore open(Posix posix, Path on) throws IOException {
        return DirectoryStore.openOrCreate(posix, on.resolve("store"), StoreOptions.PRIVATE);
    }

    private void bakeOld(DirectoryStore store) throws IOException {
        fill(guest);
        assertThat(reason(Capture.of(store, OLD, guest).take(STANDING))).isEqualTo(Reason.NO_SIBLING);
        guest.bytes().asSlice(100 * PAGE, 32 * PAGE).fill((byte) 1);
    }

    private Capture full(DirectoryStore store) {
        return Capture.of(store, FRESH, guest).tracker(tracker).kind(CaptureKind.FULL);
    }

    private static void fill(InMemoryPageReader guest) {
        byte[] noise = new byte[LENGTH];
        new SplittableRandom(1).nextBytes(noise);
        guest.bytes().copyFrom(MemorySegment.ofArray(noise));
    }

    private static Reason reason(CaptureResult result) {
        return ((DedupOutcome.LeftAlone) result.dedup().orElseThrow()).reason();
    }

    private void assertRestores(DirectoryStore store) throws IOException {
        try (RestoredSnapshot restored = Restore.of(store, FRESH).verified().restore(RestoreEngine.LAZY)) {
            assertThat(restored.memory().mapping(0).mismatch(guest.bytes())).isEqualTo(-1);
        }
    }

    /** A VM manager under an environment of its own. */
    static final class Baker {
        private Baker() {
        }

        public static void main(String[] arguments) throws IOException {
            InMemoryPageReader guest = InMemoryPageReader.of(LAYOUT);
            fill(guest);
            try (DirectoryStore store = open(Posix.host(), Path.of(arguments[0]))) {
                System.out.println(Capture.of(store, FRESH, guest).take(STANDING).dedup());
                store.delete(FRESH);
            }
        }
    }
}
