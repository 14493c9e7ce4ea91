package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.memory.Restore;
import io.microsnap.memory.RestoredSnapshot;
import io.microsnap.testsupport.CCompiler;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class RestoreMatrixTest {
    private static final long GUEST = 16 * Sizes.MIB;
    private static final RestoreCell.Touch TOUCH =
            new RestoreCell.Touch(TouchPlan.Pattern.RUNS, Sizes.MIB);

    @Test
    void theMatrixCoversEveryAxisInAtMostSixtyCells() {
        List<RestoreCell> cells = RestoreMatrix.cells().stream()
                .map(scenario -> ((RestoreCellScenario) scenario).cell()).toList();
        assertThat(cells).hasSizeLessThanOrEqualTo(RestoreMatrix.MOST_CELLS);
        assertThat(cells).extracting(RestoreCell::way).contains(RestoreWay.values());
        assertThat(cells).extracting(RestoreCell::kind).contains(StoredGuest.Kind.values());
        assertThat(cells).extracting(RestoreCell::cold).contains(true, false);
        assertThat(cells).extracting(RestoreCell::guestBytes).contains(256 * Sizes.MIB, Sizes.GIB, 8 * Sizes.GIB);
        assertThat(cells).extracting(cell -> cell.touch().pattern()).contains(TouchPlan.Pattern.values());
        assertThat(cells).extracting(cell -> cell.touch().bytes()).contains(RestoreMatrix.TOUCHED.toArray(Long[]::new));
        assertThat(RestoreMatrix.fanOut().stream().map(one -> ((RestoreCellScenario) one).cell().copies()))
                .containsExactly(1, 16, 100);
    }

    @Test
    void eachPatternTouchesDistinctPopulatedPagesAndAsManyAsAsked() {
        StoredGuest.Populated sparse = StoredGuest.Populated.of(8 * Sizes.GIB);
        for (TouchPlan.Pattern pattern : TouchPlan.Pattern.values()) {
            StringBuilder told = new StringBuilder();
            TouchPlan.of(pattern, 64 * Sizes.MIB, sparse).tell(told);
            String[] lines = told.toString().split("\n", -1);
            Set<String> pages = new HashSet<>(List.of(lines).subList(1, lines.length - 1));
            assertThat(pages).hasSize(16_384);
            assertThat(pages).allMatch(page -> Long.parseLong(page) % (8 * Sizes.MIB) < Sizes.MIB);
        }
    }

    /** The peer in C holds what it maps against the same sums, so that it is shown to restore every kind, too. */
    @RealFileSystems(FileSystemKind.XFS)
    void everyWayRestoresEveryKindOfSnapshotAsThePeerDoes(Path mountingWorksHere, CCompiler compiler) {
        List<RestoreWay> ways = List.of(RestoreWay.values());
        List<StoredGuest.Kind> kinds = List.of(StoredGuest.Kind.values());
        for (int number = 0; number < Effort.choose(2, 3, 30); number++) {
            assertMeasured(new RestoreCellScenario(
                    cell(ways.get(number % ways.size()), kinds.get(number % kinds.size()), true)));
        }
    }

    @RealFileSystems(FileSystemKind.XFS)
    void aWrongByteInAnyEngineMakesItsCellsFailWithoutATime(Path mountingWorksHere, CCompiler compiler) {
        for (RestoreWay way : RestoreWay.values()) {
            RestoreCell cell = cell(way, StoredGuest.Kind.FULL, false);
            Outcome outcome = new ScenarioRunner(true, 1).run(new RestoreCellScenario(cell,
                    restore -> withAWrongByte(way, restore)));
            assertThat(outcome).isInstanceOfSatisfying(Outcome.Failed.class, failed -> assertThat(failed.reason())
                    .contains("the restored memory differs from the guest's at byte " + (GUEST - 1)));
        }
    }

    private static RestoredSnapshot withAWrongByte(RestoreWay way, Restore restore) throws IOException {
        RestoredSnapshot restored = way.restore(restore);
        MemorySegment memory = restored.memory().mapping(0);
        byte last = memory.get(ValueLayout.JAVA_BYTE, GUEST - 1);
        memory.set(ValueLayout.JAVA_BYTE, GUEST - 1, (byte) (last + 1));
        return restored;
    }

    private static void assertMeasured(RestoreCellScenario scenario) {
        Outcome outcome = new ScenarioRunner(true, 1).run(scenario);
        assertThat(outcome).as(scenario.name()).isInstanceOfSatisfying(Outcome.Measured.class,
                measured -> assertThat(measured.readings()).extracting(Reading::name).contains(
                        "handed out", "first 256 pages", "minor faults", "major faults", "page cache", "PSS"));
    }

    private static RestoreCell cell(RestoreWay way, StoredGuest.Kind kind, boolean cold) {
        return RestoreCell.of(way, kind, cold, GUEST, TOUCH);
    }
}
