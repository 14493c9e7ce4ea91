package io.microsnap.benchmarks;

/**
 * One combination that the restore matrix measures.
 *
 * @param cold whether the kernel has forgotten the snapshot's files
 * @param touch what the guest touches after the restore
 * @param copies how many restores are made, one after another, and stay alive
 */
record RestoreCell(RestoreWay way, StoredGuest.Kind kind, boolean cold, long guestBytes, Touch touch, int copies) {

    /** What the guest touches. */
    record Touch(TouchPlan.Pattern pattern, long bytes) {
    }

    static RestoreCell of(RestoreWay way, StoredGuest.Kind kind, boolean cold, long guestBytes, Touch touch) {
        return new RestoreCell(way, kind, cold, guestBytes, touch, 1);
    }

    RestoreCell times(int count) {
        return new RestoreCell(way, kind, cold, guestBytes, touch, count);
    }

    String name() {
        String common = String.join("/", way.label(), kind.label(), cold ? "cold" : "warm", Sizes.name(guestBytes),
                Sizes.name(touch.bytes) + "-" + touch.pattern.label());
        return copies == 1 ? "restore/" + common : "fan-out/" + common + "/" + copies;
    }
}
