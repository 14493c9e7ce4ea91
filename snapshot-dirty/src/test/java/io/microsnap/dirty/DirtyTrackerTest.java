package io.microsnap.dirty;

import static io.microsnap.dirty.BitmapModel.runsOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.microsnap.core.BusyException;
import io.microsnap.core.GuestLayout;
import io.microsnap.core.SnapshotId;
import io.microsnap.core.SnapshotReference;
import io.microsnap.dirty.BitmapModel.Run;
import io.microsnap.dirty.testing.ScriptedSource;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import java.util.stream.LongStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

class DirtyTrackerTest {
    private static final int PAGE = 4096;
    private static final GuestLayout LAYOUT = GuestLayout.ofSingleRegion(PAGE, 100 * PAGE);
    private static final SnapshotReference FIRST = snapshot("first");
    private static final SnapshotReference SECOND = snapshot("second");

    private final ScriptedSource source = new ScriptedSource(LAYOUT, WritePath.FILE, WritePath.DISCARD);
    private final DirtyTracker tracker = DirtyTracker.of(LAYOUT, source);

    @Test
    void beforeAnySnapshotAnythingMayHaveChanged() throws IOException {
        tracker.arm();
        Epoch epoch = tracker.harvest();
        assertThat(epoch.relativeTo()).isEmpty();
        assertThat(epoch.parent()).isEmpty();
        assertThat(epoch.unknownBecause()).hasValueSatisfying(reason -> assertThat(reason).contains("no snapshot"));
    }

    @Test
    void afterACommitEpochsAreRelativeToWhatWasPublished() throws IOException {
        publish(FIRST);
        write(3);
        mark(5);
        Epoch epoch = tracker.harvest();
        assertThat(epoch.relativeTo()).contains(FIRST);
        assertThat(epoch.unknownBecause()).isEmpty();
        assertPages(epoch, 3, 5);
        epoch.commit(SECOND);
        assertThat(tracker.parent()).contains(SECOND);
        assertThat(tracker.unknownBecause()).isEmpty();
        write(7);
        assertPages(tracker.harvest(), 7);
    }

    @Test
    void whatWasWrittenBetweenArmingAndTheFirstPauseIsKeptUntilTheCaptureIsPublished()
            throws IOException {
        tracker.arm();
        write(1);
        Epoch abandoned = tracker.harvest();
        assertPages(abandoned, 1);
        write(2);
        abandoned.close();
        Epoch epoch = tracker.harvest();
        assertPages(epoch, 1, 2);
        write(3);
        epoch.commit(FIRST);
        Epoch next = tracker.harvest();
        assertThat(next.relativeTo()).contains(FIRST);
        assertPages(next, 3);
    }

    @Test
    void aRollbackGivesEverythingBackMergedWithWhatCameMeanwhile() throws IOException {
        publish(FIRST);
        write(10);
        mark(11);
        Epoch epoch = tracker.harvest();
        write(12);
        mark(11);
        mark(13);
        epoch.rollback();
        Epoch again = tracker.harvest();
        assertThat(again.relativeTo()).contains(FIRST);
        assertPages(again, 10, 11, 12, 13);
    }

    @Test
    void closingAnEpochRollsBackOnlyWhatHasNotEnded() throws IOException {
        publish(FIRST);
        write(1);
        tracker.harvest().close();
        Epoch epoch = tracker.harvest();
        assertPages(epoch, 1);
        epoch.commit(SECOND);
        epoch.close();
        assertPages(tracker.harvest());
    }

    @Test
    void harvestsOfOneEpochAreToldApartAndGivenBackTogether() throws IOException {
        publish(FIRST);
        write(1);
        Epoch epoch = tracker.harvest();
        DirtyBitmap more = DirtyBitmap.of(LAYOUT);
        write(2);
        mark(3);
        assertThat(epoch.harvestMore(more)).isEmpty();
        assertPages(more, 2, 3);
        write(2);
        assertThat(epoch.harvestMore(more)).isEmpty();
        assertPages(more, 2);
        assertPages(epoch, 1, 2, 3);
        assertThat(epoch.relativeTo()).contains(FIRST);
        write(4);
        epoch.rollback();
        Epoch again = tracker.harvest();
        assertThat(again.relativeTo()).contains(FIRST);
        assertPages(again, 1, 2, 3, 4);
        write(5);
        assertThat(again.harvestMore(more)).isEmpty();
        write(6);
        again.commit(SECOND);
        Epoch next = tracker.harvest();
        assertThat(next.relativeTo()).contains(SECOND);
        assertPages(next, 6);
        assertThatIllegalStateException().isThrownBy(() -> again.harvestMore(more)).withMessageContaining("committed");
    }

    @Test
    void aFurtherHarvestThatFailsMakesTheEpochRelativeToNothing() throws IOException {
        publish(FIRST);
        write(1);
        Epoch epoch = tracker.harvest();
        write(2);
        source.failNextHarvest(new IOException("lapped"));
        DirtyBitmap more = DirtyBitmap.of(LAYOUT);
        assertThat(epoch.harvestMore(more).orElseThrow()).contains("could not be harvested", "lapped");
        assertThat(epoch.relativeTo()).isEmpty();
        assertThat(epoch.unknownBecause().orElseThrow()).contains("lapped");
        assertPages(epoch, 1, 2);
        write(3);
        assertThat(epoch.harvestMore(more)).as("watched again from that harvest on").isEmpty();
        assertPages(more, 3);
        epoch.close();
        assertThat(tracker.unknownBecause().orElseThrow()).contains("lapped");
        assertPages(tracker.harvest(), 1, 2, 3);
    }

    @Test
    void theFirstEpochOfAGuestKnowsWhatChangedBetweenItsHarvests() throws IOException {
        tracker.arm();
        write(1);
        Epoch epoch = tracker.harvest();
        assertThat(epoch.relativeTo()).isEmpty();
        write(2);
        DirtyBitmap more = DirtyBitmap.of(LAYOUT);
        assertThat(epoch.harvestMore(more)).isEmpty();
        assertPages(more, 2);
        assertThat(epoch.relativeTo()).isEmpty();
        tracker.invalidate("a slot was moved");
        assertThat(epoch.harvestMore(more)).contains("a slot was moved");
        epoch.commit(FIRST);
        write(3);
        Epoch next = tracker.harvest();
        assertThat(next.relativeTo()).contains(FIRST);
        assertPages(next, 3);
    }

    @Test
    void anErrorInAFurtherHarvestLosesNothingThatWasTakenOut() throws IOException {
        publish(FIRST);
        Epoch epoch = tracker.harvest();
        write(2);
        mark(3);
        OutOfMemoryError error = new OutOfMemoryError("a test says so");
        source.failNextHarvest(error);
        assertThatThrownBy(() -> epoch.harvestMore(DirtyBitmap.of(LAYOUT))).isSameAs(error);
        epoch.close();
        Epoch again = tracker.harvest();
        assertThat(again.relativeTo()).isEmpty();
        assertPages(again, 2, 3);
    }

    @Test
    void anEpochEndsOnce() throws IOException {
        publish(FIRST);
        Epoch committed = tracker.harvest();
        committed.commit(SECOND);
        assertThatIllegalStateException().isThrownBy(() -> committed.commit(FIRST)).withMessageContaining("committed");
        assertThatIllegalStateException().isThrownBy(committed::rollback);
        assertThatIllegalStateException().isThrownBy(committed::bitmap);
        Epoch givenBack = tracker.harvest();
        givenBack.rollback();
        assertThatIllegalStateException().isThrownBy(() -> givenBack.commit(FIRST))
                .withMessageContaining("given back");
        assertThatIllegalStateException().isThrownBy(givenBack::rollback);
        givenBack.close();
        assertThat(tracker.parent()).contains(SECOND);
    }

    @Test
    void oneUnpublishedCaptureAtATime() throws IOException {
        publish(FIRST);
        write(1);
        Epoch epoch = tracker.harvest();
        assertThatThrownBy(tracker::harvest).isInstanceOf(BusyException.class)
                .hasMessageContaining("an earlier capture of this guest");
        assertThatThrownBy(() -> tracker.armRelativeTo(SECOND)).isInstanceOf(BusyException.class)
                .hasMessageContaining("an earlier capture of this guest");
        assertPages(epoch, 1);
        epoch.rollback();
        assertPages(tracker.harvest(), 1);
    }

    @Test
    void anEpochServesItsOwnBaseAndNoOther() throws IOException {
        publish(FIRST);
        try (Epoch epoch = tracker.harvest()) {
            epoch.requireRelativeTo(FIRST);
            assertThatThrownBy(() -> epoch.requireRelativeTo(SECOND)).isInstanceOf(OtherBaseException.class)
                    .hasMessageContaining("first").hasMessageContaining("second");
            SnapshotReference namesake = new SnapshotReference(FIRST.id(), UUID.randomUUID(), FIRST.indexRoot());
            assertThatThrownBy(() -> epoch.requireRelativeTo(namesake)).isInstanceOf(OtherBaseException.class);
        }
        tracker.invalidate("a slot moved");
        try (Epoch epoch = tracker.harvest()) {
            assertThatThrownBy(() -> epoch.requireRelativeTo(FIRST)).isInstanceOf(OtherBaseException.class)
                    .hasMessageContaining("a slot moved");
        }
    }

    @Test
    void aFailedHarvestMeansThatAnythingMayHaveChanged() throws IOException {
        publish(FIRST);
        source.failNextHarvest(new IOException("EIO from the log"));
        Epoch epoch = tracker.harvest();
        assertThat(epoch.relativeTo()).isEmpty();
        assertThat(epoch.parent()).contains(FIRST);
        assertThat(epoch.unknownBecause()).hasValueSatisfying(
                reason -> assertThat(reason).contains("script").contains("EIO from the log"));
        write(4);
        epoch.commit(SECOND);
        Epoch next = tracker.harvest();
        assertThat(next.relativeTo()).as("armed again in the pause").contains(SECOND);
        assertPages(next, 4);
    }

    @Test
    void abandoningTheCaptureAfterAFailedHarvestKeepsTheChangesUnknown() throws IOException {
        publish(FIRST);
        source.failNextHarvest(new IllegalStateException("ring torn"));
        tracker.harvest().rollback();
        assertThat(tracker.unknownBecause()).hasValueSatisfying(reason -> assertThat(reason).contains("ring torn"));
        assertThat(tracker.harvest().relativeTo()).isEmpty();
    }

    @Test
    void aFailureToArmAgainInvalidatesTheEpochAfterThisOne() throws IOException {
        publish(FIRST);
        source.failNextHarvest(new IOException("first failure"));
        source.failNextArm(new IOException("second failure"));
        tracker.harvest().commit(SECOND);
        assertThat(tracker.unknownBecause())
                .hasValueSatisfying(reason -> assertThat(reason).contains("second failure"));
        Epoch epoch = tracker.harvest();
        assertThat(epoch.relativeTo()).isEmpty();
        assertThat(epoch.parent()).contains(SECOND);
        epoch.commit(FIRST);
        assertThat(tracker.harvest().relativeTo()).contains(FIRST);
    }

    @Test
    void armingThatFailsSaysSoAndCanBeTriedAgain() throws IOException {
        source.failNextArm(new IOException("no userfaultfd"));
        assertThatThrownBy(tracker::arm).hasMessage("no userfaultfd");
        assertThat(source.calls()).containsExactly("arm", "disarm");
        tracker.arm();
        tracker.arm();
        assertThat(source.calls()).containsExactly("arm", "disarm", "arm");
    }

    @Test
    void anErrorInTheMiddleOfAHarvestLosesNothingSilently() throws IOException {
        publish(FIRST);
        write(1);
        source.duringHarvest(() -> {
            throw new StackOverflowError("deep");
        });
        assertThatThrownBy(tracker::harvest).isInstanceOf(StackOverflowError.class);
        source.duringHarvest(() -> { });
        assertThat(tracker.harvest().relativeTo()).isEmpty();
    }

    @Test
    void whenOneSourceCannotBeArmedNoneWatches() {
        ScriptedSource first = new ScriptedSource(LAYOUT);
        ScriptedSource second = new ScriptedSource(LAYOUT);
        try (DirtyTracker union = DirtyTracker.of(LAYOUT, first, second)) {
            second.failNextArm(new IOException("no log"));
            assertThatThrownBy(union::arm).hasMessage("no log");
            assertThat(first.calls()).containsExactly("arm", "disarm");
        } catch (IOException closing) {
            throw new AssertionError(closing);
        }
    }

    @Test
    void invalidatingLastsUntilACaptureThatDoesWithoutIsPublished() throws IOException {
        publish(FIRST);
        tracker.invalidate("slot 2 was removed");
        tracker.invalidate("and slot 3");
        tracker.arm();
        assertThat(tracker.unknownBecause()).contains("slot 2 was removed");
        tracker.harvest().rollback();
        Epoch epoch = tracker.harvest();
        assertThat(epoch.unknownBecause()).contains("slot 2 was removed");
        epoch.commit(SECOND);
        assertThat(tracker.harvest().relativeTo()).contains(SECOND);
    }

    @Test
    void invalidatingWhileACaptureIsOutstandingConcernsTheNextOne() throws IOException {
        publish(FIRST);
        write(1);
        Epoch epoch = tracker.harvest();
        tracker.invalidate("slot added");
        assertThat(epoch.relativeTo()).contains(FIRST);
        assertPages(epoch, 1);
        epoch.commit(SECOND);
        Epoch next = tracker.harvest();
        assertThat(next.relativeTo()).isEmpty();
        assertThat(next.parent()).contains(SECOND);
        assertThat(next.unknownBecause()).contains("slot added");
    }

    @Test
    void afterARestoreTheFirstEpochIsRelativeToTheSnapshotRestored() throws IOException {
        mark(50);
        DirtyBitmap alreadyWritten = DirtyBitmap.of(LAYOUT);
        alreadyWritten.mark(20 * PAGE, PAGE);
        tracker.armRelativeTo(FIRST, alreadyWritten);
        write(21);
        Epoch epoch = tracker.harvest();
        assertThat(epoch.relativeTo()).contains(FIRST);
        assertPages(epoch, 20, 21);
        epoch.close();
        tracker.armRelativeTo(SECOND);
        Epoch fresh = tracker.harvest();
        assertThat(fresh.relativeTo()).contains(SECOND);
        assertPages(fresh);
    }

    @Test
    void aRestoreThatCannotBeWatchedLeavesTheChangesUnknown() throws IOException {
        source.failNextArm(new IOException("no log"));
        assertThatThrownBy(() -> tracker.armRelativeTo(FIRST)).hasMessage("no log");
        Epoch epoch = tracker.harvest();
        assertThat(epoch.relativeTo()).isEmpty();
        assertThat(epoch.parent()).contains(FIRST);
    }

    @Test
    void endingAnEpochAfterItsTrackerWasClosedDoesNoHarm() throws IOException {
        publish(FIRST);
        write(9);
        Epoch epoch = tracker.harvest();
        tracker.close();
        tracker.close();
        assertPages(epoch, 9);
        epoch.commit(SECOND);
        assertThat(source.calls()).endsWith("close").containsOnlyOnce("close");
        assertThatIllegalStateException().isThrownBy(tracker::harvest).withMessageContaining("closed");
        assertThatIllegalStateException().isThrownBy(tracker::arm);
        assertThatIllegalStateException().isThrownBy(() -> tracker.armRelativeTo(FIRST));
        tracker.invalidate("too late");
        mark(1);
    }

    @Test
    void sourcesAreToldOnCommitWhatReallyChanged() throws IOException {
        publish(FIRST);
        tracker.markWritten(0, 10 * PAGE);
        Epoch epoch = tracker.harvest();
        DirtyBitmap changed = DirtyBitmap.of(LAYOUT);
        changed.set(2 * PAGE);
        epoch.tellChanged(changed);
        assertThat(source.learnedChanged()).isNull();
        epoch.commit(SECOND);
        assertThat(source.learnedReported().count()).isEqualTo(10);
        assertThat(runsOf(source.learnedChanged(), 0)).containsExactly(new Run(2 * PAGE, PAGE));
    }

    @Test
    void aUnionIsBlindOnlyToWhatNoneOfItsSourcesSees() throws IOException {
        ScriptedSource one = new ScriptedSource(LAYOUT, WritePath.FILE, WritePath.DISCARD);
        ScriptedSource other = new ScriptedSource(LAYOUT, WritePath.GUEST, WritePath.DISCARD);
        try (DirtyTracker union = DirtyTracker.of(LAYOUT, one, other)) {
            assertThat(union.blindTo()).containsExactly(WritePath.DISCARD);
            union.arm();
            one.guestWrites(PAGE, 1);
            other.guestWrites(2 * PAGE, 1);
            union.markDiscarded(4 * PAGE, PAGE);
            assertPages(union.harvest(), 1, 2, 4);
        }
        try (DirtyTracker marks = DirtyTracker.ofMarks(LAYOUT)) {
            assertThat(marks.blindTo()).containsExactly(WritePath.values());
        }
    }

    @Test
    void whatDoesNotFitTogetherIsRefused() {
        GuestLayout other = GuestLayout.ofSingleRegion(PAGE, 99 * PAGE);
        assertThatIllegalArgumentException().isThrownBy(() -> DirtyTracker.of(other, source))
                .withMessageContaining("script");
        assertThatIllegalArgumentException().isThrownBy(() -> tracker.armRelativeTo(FIRST, DirtyBitmap.of(other)));
        assertThatThrownBy(() -> tracker.markWritten(100 * PAGE, 1)).isInstanceOf(IndexOutOfBoundsException.class);
    }

    @Test
    void aSourceHasOneOwnerUntilThatIsClosed() throws IOException {
        assertThatIllegalStateException().isThrownBy(() -> DirtyTracker.of(LAYOUT, new ScriptedSource(LAYOUT), source))
                .withMessageContaining("the script belongs to a tracker already");
        ScriptedSource fresh = new ScriptedSource(LAYOUT);
        assertThatIllegalStateException().isThrownBy(() -> DirtyTracker.of(LAYOUT, fresh, fresh));
        assertThatIllegalStateException().isThrownBy(() -> DirtyTracker.of(LAYOUT, fresh, source));
        DirtyTracker.of(LAYOUT, fresh).close();
        assertThat(source.calls()).as("the owner's").doesNotContain("close");
        tracker.close();
        DirtyTracker.of(LAYOUT, source).close();
    }

    @Test
    void aClaimedTrackerServesNoOtherCaptureUntilItsEpochEnds() throws IOException {
        publish(FIRST);
        write(1);
        Epoch epoch = tracker.claim();
        epoch.requireOpen();
        assertThat(epoch.relativeTo()).as("nothing was harvested yet").isEmpty();
        for (ThrowingCallable early : List.<ThrowingCallable>of(
                epoch::bitmap, () -> epoch.harvestMore(DirtyBitmap.of(LAYOUT)), () -> epoch.commit(SECOND))) {
            assertThatIllegalStateException().isThrownBy(early).withMessageContaining("nothing was harvested");
        }
        for (ThrowingCallable other : List.<ThrowingCallable>of(
                tracker::claim, tracker::harvest, () -> tracker.armRelativeTo(SECOND))) {
            assertThatThrownBy(other).isInstanceOf(BusyException.class)
                    .hasMessageContaining("an earlier capture of this guest");
        }
        mark(2);
        epoch.harvest();
        assertPages(epoch, 1, 2);
        assertThatIllegalStateException().isThrownBy(epoch::harvest).withMessageContaining("already");
        assertThatThrownBy(tracker::claim).as("the epoch is outstanding")
                .isInstanceOf(BusyException.class)
                .hasMessageContaining("an earlier capture of this guest");
        epoch.commit(SECOND);
        assertThatIllegalStateException().isThrownBy(epoch::requireOpen);
        assertThatIllegalStateException().isThrownBy(epoch::harvest);
        tracker.claim().close();
        try (Epoch empty = tracker.claim()) {
            empty.harvest();
            epoch.close();
            assertThatThrownBy(tracker::claim).as("an ended epoch frees nothing")
                    .isInstanceOf(BusyException.class)
                    .hasMessageContaining("an earlier capture of this guest");
            assertThat(empty.relativeTo()).contains(SECOND);
        }
        assertPages(tracker.harvest());
    }

    @Test
    void aLostCaptureCanBeAbandonedAtEveryStage() throws IOException {
        publish(FIRST);
        tracker.abandonCapture();
        Epoch claimed = tracker.claim();
        tracker.abandonCapture();
        assertThatIllegalStateException().isThrownBy(claimed::requireOpen).withMessageContaining("abandoned");
        write(1);
        Epoch lost = tracker.claim();
        lost.harvest();
        write(2);
        tracker.abandonCapture();
        assertThatIllegalStateException().isThrownBy(lost::requireOpen).withMessageContaining("abandoned");
        assertThatIllegalStateException().isThrownBy(() -> lost.commit(SECOND));
        Epoch next = tracker.harvest();
        assertThat(next.relativeTo()).contains(FIRST);
        assertPages(next, 1, 2);
    }

    @Test
    void aCheckedExceptionThatNoSignatureNamesIsAFailureLikeOthers() throws IOException {
        publish(FIRST);
        source.failNextHarvest(new InterruptedException("thrown sneakily"));
        source.failNextArm(new InterruptedException("thrown sneakily too"));
        Epoch epoch = tracker.harvest();
        assertThat(epoch.unknownBecause()).hasValueSatisfying(reason -> assertThat(reason).contains("sneakily"));
        epoch.commit(SECOND);
        assertThat(tracker.harvest().unknownBecause())
                .hasValueSatisfying(reason -> assertThat(reason).contains("sneakily too"));
    }

    @Test
    void whateverASourceMakesOfWhatItLearnsTheCommitHolds() throws IOException {
        publish(FIRST);
        Epoch epoch = tracker.harvest();
        epoch.tellChanged(DirtyBitmap.of(LAYOUT));
        source.failNextLearn(new StackOverflowError("deep"));
        epoch.commit(SECOND);
        assertThat(tracker.harvest().relativeTo()).contains(SECOND);
    }

    @Test
    void everySourceIsClosedWhateverTheFirstOneThrows() throws IOException {
        ScriptedSource first = new ScriptedSource(LAYOUT);
        ScriptedSource second = new ScriptedSource(LAYOUT);
        first.failNextClose(new AssertionError("of a plug-in"));
        assertThatThrownBy(() -> DirtyTracker.of(LAYOUT, first, second).close()).hasMessageContaining("of a plug-in");
        assertThat(second.calls()).containsExactly("close");
    }

    private void publish(SnapshotReference snapshot) throws IOException {
        tracker.arm();
        tracker.harvest().commit(snapshot);
    }

    private void write(int page) {
        source.guestWrites((long) page * PAGE, 1);
    }

    private void mark(int page) {
        tracker.markWritten((long) page * PAGE, 1);
    }

    private static void assertPages(Epoch epoch, int... pages) {
        assertPages(epoch.bitmap(), pages);
    }

    private static void assertPages(DirtyBitmap bitmap, int... pages) {
        List<Long> found = runsOf(bitmap, 0).stream()
                .flatMap(run -> LongStream.range(run.offset() / PAGE,
                        (run.offset() + run.lengthBytes()) / PAGE).boxed())
                .toList();
        assertThat(found).isEqualTo(Arrays.stream(pages).mapToObj(page -> (long) page).toList());
    }

    private static SnapshotReference snapshot(String id) {
        UUID uuid = UUID.nameUUIDFromBytes(id.getBytes(StandardCharsets.UTF_8));
        return new SnapshotReference(new SnapshotId(id), uuid, id.hashCode());
    }
}
