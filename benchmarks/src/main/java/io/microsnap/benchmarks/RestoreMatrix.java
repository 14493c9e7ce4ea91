package io.microsnap.benchmarks;

import io.microsnap.benchmarks.RestoreCell.Touch;
import io.microsnap.benchmarks.TouchPlan.Pattern;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Chooses the cells of the restore matrix. All combinations would be thousands. Each engine is measured cold and warm
 * by how much is touched; from the middle of that plane (1 GiB, a full snapshot, 64 MiB in runs) one axis is left at a
 * time: the kind of snapshot, the guest's size, the pattern.
 */
final class RestoreMatrix {
    /** As many cells as a reader can take in. */
    static final int MOST_CELLS = 60;
    static final List<Long> TOUCHED = List.of(4 * Sizes.MIB, 64 * Sizes.MIB, 256 * Sizes.MIB);

    private static final Touch MIDDLE = new Touch(Pattern.RUNS, 64 * Sizes.MIB);
    private static final int[] FAN_OUT = {1, 16, 100};
    private static final Touch FAN_OUT_TOUCH = new Touch(Pattern.RUNS, 16 * Sizes.MIB);

    private RestoreMatrix() {
    }

    static List<Scenario> cells() {
        Set<RestoreCell> cells = new LinkedHashSet<>();
        for (boolean cold : new boolean[] {true, false}) {
            for (RestoreWay way : RestoreWay.values()) {
                for (long touched : TOUCHED) {
                    // What reads everything first takes no notice of how much is touched: its ends are enough.
                    if (way.maps() || touched != MIDDLE.bytes()) {
                        cells.add(cell(way, StoredGuest.Kind.FULL, cold, Sizes.GIB, new Touch(Pattern.RUNS, touched)));
                    }
                }
            }
            for (RestoreWay way : mapping()) {
                for (StoredGuest.Kind kind : StoredGuest.Kind.values()) {
                    if (cold || way == RestoreWay.LAZY) {
                        cells.add(cell(way, kind, cold, Sizes.GIB, MIDDLE));
                    }
                }
            }
            cells.add(cell(RestoreWay.LAZY, StoredGuest.Kind.FULL, cold, 256 * Sizes.MIB, MIDDLE));
            cells.add(cell(RestoreWay.LAZY, StoredGuest.Kind.FULL, cold, 8 * Sizes.GIB, MIDDLE));
        }
        for (RestoreWay way : mapping()) {
            for (Pattern pattern : Pattern.values()) {
                cells.add(cell(way, StoredGuest.Kind.FULL, true, Sizes.GIB, new Touch(pattern, MIDDLE.bytes())));
            }
        }
        return scenarios(cells);
    }

    static Scenario quick(long guestBytes) {
        return new RestoreCellScenario(cell(RestoreWay.LAZY, StoredGuest.Kind.FULL, true, guestBytes, MIDDLE));
    }

    static Scenario quickReadAhead(long guestBytes) {
        return new RestoreCellScenario(
                cell(RestoreWay.WORKING_SET, StoredGuest.Kind.FULL, true, guestBytes, MIDDLE));
    }

    /** Many restores of one snapshot, warm: they share its page cache. */
    static List<Scenario> fanOut() {
        List<RestoreCell> cells = new ArrayList<>();
        for (int copies : FAN_OUT) {
            cells.add(fanOut(256 * Sizes.MIB, copies));
        }
        return scenarios(cells);
    }

    static Scenario quickFanOut(long guestBytes) {
        return new RestoreCellScenario(fanOut(guestBytes, FAN_OUT[1]));
    }

    private static RestoreCell fanOut(long guestBytes, int copies) {
        return cell(RestoreWay.LAZY, StoredGuest.Kind.FULL, false, guestBytes, FAN_OUT_TOUCH).times(copies);
    }

    /** The ways that read a page when it is touched, or soon before. */
    private static List<RestoreWay> mapping() {
        return List.of(RestoreWay.LAZY, RestoreWay.WORKING_SET);
    }

    private static RestoreCell cell(RestoreWay way, StoredGuest.Kind kind, boolean cold, long guestBytes, Touch touch) {
        return RestoreCell.of(way, kind, cold, guestBytes, touch);
    }

    private static List<Scenario> scenarios(Iterable<RestoreCell> cells) {
        List<Scenario> scenarios = new ArrayList<>();
        cells.forEach(cell -> scenarios.add(new RestoreCellScenario(cell)));
        return scenarios;
    }
}
