package io.microsnap.dirty;

import static io.microsnap.dirty.BitmapModel.runsOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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
    void before_any_snapshot_anything_may_have_changed() throws IOException {
        tracker.arm();
        Epoch epoch = tracker.harvest();
        assertThat(epoch.relativeTo()).isEmpty();
        assertThat(epoch.parent()).isEmpty();
        assertThat(epoch.unknownBecause()).hasValueSatisfying(reason -> assertThat(reason).contains("no snapshot"));
    }

    @Test
    void after_a_commit_epochs_are_relative_to_what_was_published() throws IOException {
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
    void what_was_written_between_arming_and_the_first_pause_is_kept_until_the_capture_is_published()
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
    void a_rollback_gives_everything_back_merged_with_what_came_meanwhile() throws IOException {
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
    void closing_an_epoch_rolls_back_only_what_has_not_ended() throws IOException {
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
    void harvests_of_one_epoch_are_told_apart_and_given_back_together() throws IOException {
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
    void a_further_harvest_that_fails_makes_the_epoch_relative_to_nothing() throws IOException {
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
    void the_first_epoch_of_a_guest_knows_what_changed_between_its_harvests() throws IOException {
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
    void an_error_in_a_further_harvest_loses_nothing_that_was_taken_out() throws IOException {
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
    void an_epoch_ends_once() throws IOException {
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
    void one_unpublished_capture_at_a_time() throws IOException {
        publish(FIRST);
        write(1);
        Epoch epoch = tracker.harvest();
        assertThatThrownBy(tracker::harvest).isInstanceOf(CaptureOutstandingException.class);
        assertThatThrownBy(() -> tracker.armRelativeTo(SECOND)).isInstanceOf(CaptureOutstandingException.class);
        assertPages(epoch, 1);
        epoch.rollback();
        assertPages(tracker.harvest(), 1);
    }

    @Test
    void an_epoch_serves_its_own_base_and_no_other() throws IOException {
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
    void a_failed_harvest_means_that_anything_may_have_changed() throws IOException {
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
    void abandoning_the_capture_after_a_failed_harvest_keeps_the_changes_unknown() throws IOException {
        publish(FIRST);
        source.failNextHarvest(new IllegalStateException("ring torn"));
        tracker.harvest().rollback();
        assertThat(tracker.unknownBecause()).hasValueSatisfying(reason -> assertThat(reason).contains("ring torn"));
        assertThat(tracker.harvest().relativeTo()).isEmpty();
    }

    @Test
    void a_failure_to_arm_again_invalidates_the_epoch_after_this_one() throws IOException {
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
    void arming_that_fails_says_so_and_can_be_tried_again() throws IOException {
        source.failNextArm(new IOException("no userfaultfd"));
        assertThatThrownBy(tracker::arm).hasMessage("no userfaultfd");
        assertThat(source.calls()).containsExactly("arm", "disarm");
        tracker.arm();
        tracker.arm();
        assertThat(source.calls()).containsExactly("arm", "disarm", "arm");
    }

    @Test
    void an_error_in_the_middle_of_a_harvest_loses_nothing_silently() throws IOException {
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
    void when_one_source_cannot_be_armed_none_watches() {
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
    void invalidating_lasts_until_a_capture_that_does_without_is_published() throws IOException {
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
    void invalidating_while_a_capture_is_outstanding_concerns_the_next_one() throws IOException {
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
    void after_a_restore_the_first_epoch_is_relative_to_the_snapshot_restored() throws IOException {
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
    void a_restore_that_cannot_be_watched_leaves_the_changes_unknown() throws IOException {
        source.failNextArm(new IOException("no log"));
        assertThatThrownBy(() -> tracker.armRelativeTo(FIRST)).hasMessage("no log");
        Epoch epoch = tracker.harvest();
        assertThat(epoch.relativeTo()).isEmpty();
        assertThat(epoch.parent()).contains(FIRST);
    }

    @Test
    void ending_an_epoch_after_its_tracker_was_closed_does_no_harm() throws IOException {
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
    void sources_are_told_on_commit_what_really_changed() throws IOException {
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
    void a_union_is_blind_only_to_what_none_of_its_sources_sees() throws IOException {
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
    void what_does_not_fit_together_is_refused() {
        GuestLayout other = GuestLayout.ofSingleRegion(PAGE, 99 * PAGE);
        assertThatIllegalArgumentException().isThrownBy(() -> DirtyTracker.of(other, source))
                .withMessageContaining("script");
        assertThatIllegalArgumentException().isThrownBy(() -> tracker.armRelativeTo(FIRST, DirtyBitmap.of(other)));
        assertThatThrownBy(() -> tracker.markWritten(100 * PAGE, 1)).isInstanceOf(IndexOutOfBoundsException.class);
    }

    @Test
    void a_source_has_one_owner_until_that_is_closed() throws IOException {
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
    void a_claimed_tracker_serves_no_other_capture_until_its_epoch_ends() throws IOException {
        publish(FIRST);
        write(1);
        TrackerClaim claim = tracker.claim();
        claim.require();
        for (ThrowingCallable other : List.<ThrowingCallable>of(
                tracker::claim, tracker::harvest, () -> tracker.armRelativeTo(SECOND))) {
            assertThatThrownBy(other).isInstanceOf(CaptureOutstandingException.class);
        }
        mark(2);
        Epoch epoch = claim.harvest();
        assertPages(epoch, 1, 2);
        claim.close();
        assertThatThrownBy(tracker::claim).as("the epoch is outstanding")
                .isInstanceOf(CaptureOutstandingException.class);
        epoch.commit(SECOND);
        assertThatIllegalStateException().isThrownBy(claim::require);
        assertThatIllegalStateException().isThrownBy(claim::harvest);
        tracker.claim().close();
        try (TrackerClaim next = tracker.claim(); Epoch empty = next.harvest()) {
            claim.close();
            assertThatThrownBy(tracker::claim).as("an ended claim frees nothing")
                    .isInstanceOf(CaptureOutstandingException.class);
            assertThat(empty.relativeTo()).contains(SECOND);
        }
        assertPages(tracker.harvest());
    }

    @Test
    void a_lost_capture_can_be_abandoned_at_every_stage() throws IOException {
        publish(FIRST);
        tracker.abandonCapture();
        TrackerClaim claim = tracker.claim();
        tracker.abandonCapture();
        assertThatIllegalStateException().isThrownBy(claim::require).withMessageContaining("abandoned");
        write(1);
        Epoch lost = tracker.claim().harvest();
        write(2);
        tracker.abandonCapture();
        assertThatIllegalStateException().isThrownBy(lost::requireOpen).withMessageContaining("abandoned");
        assertThatIllegalStateException().isThrownBy(() -> lost.commit(SECOND));
        Epoch next = tracker.harvest();
        assertThat(next.relativeTo()).contains(FIRST);
        assertPages(next, 1, 2);
    }

    @Test
    void a_checked_exception_that_no_signature_names_is_a_failure_like_others() throws IOException {
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
    void whatever_a_source_makes_of_what_it_learns_the_commit_holds() throws IOException {
        publish(FIRST);
        Epoch epoch = tracker.harvest();
        epoch.tellChanged(DirtyBitmap.of(LAYOUT));
        source.failNextLearn(new StackOverflowError("deep"));
        epoch.commit(SECOND);
        assertThat(tracker.harvest().relativeTo()).contains(SECOND);
    }

    @Test
    void every_source_is_closed_whatever_the_first_one_throws() throws IOException {
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
