package io.microsnap.kvm.life;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.kvm.DirtyTracking;
import io.microsnap.kvm.KvmTest;
import io.microsnap.memory.CaptureKind;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.Effort;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Guests that go on in other machines and other processes from their snapshots. */
@Execution(ExecutionMode.CONCURRENT)
@KvmTest
class WholeLifeTest {
    /** What a life said at its end. */
    private record Report(int generation, String kind, long touchedBefore, long countedBefore, long touched,
            long counted) {
        static Report of(String line) {
            List<String> words = List.of(line.split(" ", -1));
            return new Report(Integer.parseInt(words.get(1)), words.get(2), Long.parseLong(words.get(4)),
                    Long.parseLong(words.get(5)), Long.parseLong(words.get(7)), Long.parseLong(words.get(8)));
        }
    }

    @ParameterizedTest
    @EnumSource(Life.Engine.class)
    void aGuestGoesOnInANewProcessFromAFullSnapshotAndFromADiff(
            Life.Engine engine, ChildProcesses processes, @TempDir Path directory) {
        List<Report> lives = new ArrayList<>();
        lives.addAll(live(processes, directory, 0, 1, CaptureKind.FULL, engine, DirtyTracking.MANUAL_CLEAR));
        lives.addAll(live(processes, directory, 1, 1, CaptureKind.DIFF, engine, DirtyTracking.MANUAL_CLEAR));
        lives.addAll(live(processes, directory, 2, 1, CaptureKind.FULL, engine, DirtyTracking.LOG));
        lives.addAll(live(processes, directory, 3, 1, CaptureKind.DIFF, engine, DirtyTracking.LOG));
        assertGoesOn(lives);
        assertThat(lives).extracting(Report::kind).containsExactly("FULL", "DIFF", "FULL", "DIFF");
    }

    @RealFileSystems(FileSystemKind.XFS)
    void aGuestGoesOnInANewProcessFromASnapshotOntoItsBase(Path directory, ChildProcesses processes) {
        List<Report> lives = new ArrayList<>();
        int generation = 0;
        for (Life.Engine engine : Life.Engine.values()) {
            lives.addAll(live(processes, directory, generation, 1, CaptureKind.ONTO_BASE, engine,
                    DirtyTracking.MANUAL_CLEAR));
            generation++;
        }
        lives.addAll(live(processes, directory, generation, 1, CaptureKind.ONTO_BASE, Life.Engine.LAZY,
                DirtyTracking.MANUAL_CLEAR));
        assertGoesOn(lives);
        assertThat(lives).extracting(Report::kind).containsExactly("FULL", "ONTO_BASE", "ONTO_BASE", "ONTO_BASE");
    }

    @Test
    void aGuestLivesFiftyGenerationsOnAChainOfDiffsEveryFifthInANewProcess(
            ChildProcesses processes, @TempDir Path directory) {
        int generations = Effort.choose(10, 25, 200);
        List<Life.Engine> engines = List.of(Life.Engine.values());
        List<Report> lives = new ArrayList<>();
        for (int generation = 0; generation < generations; generation += 5) {
            lives.addAll(live(processes, directory, generation, 5, CaptureKind.DIFF,
                    engines.get(generation / 5 % engines.size()), DirtyTracking.MANUAL_CLEAR));
        }
        assertThat(lives).hasSize(generations);
        assertGoesOn(lives);
        assertThat(lives.subList(1, generations)).allMatch(life -> life.kind().equals("DIFF"));
    }

    private static List<Report> live(ChildProcesses processes, Path directory, int first, int generations,
            CaptureKind kind, Life.Engine engine, DirtyTracking tracking) {
        ChildProcess.Exit exit = processes.java(Life.class, directory.resolve("store").toString(),
                String.valueOf(first), String.valueOf(generations), kind.name(), engine.name(), tracking.name())
                .awaitExit();
        assertThat(exit.status()).as(exit.output() + exit.errors()).isZero();
        return exit.output().lines().filter(line -> line.startsWith("generation ")).map(Report::of).toList();
    }

    private static void assertGoesOn(List<Report> lives) {
        Report before = new Report(-1, "", 0, 0, 0, 0);
        for (Report life : lives) {
            assertThat(life.generation()).isEqualTo(before.generation() + 1);
            assertThat(life.touchedBefore()).as("%s goes on from %s", life, before).isEqualTo(before.touched());
            assertThat(life.countedBefore()).as("%s goes on from %s", life, before).isEqualTo(before.counted());
            assertThat(life.touched()).isGreaterThan(before.touched());
            assertThat(life.counted()).isGreaterThan(before.counted());
            before = life;
        }
    }
}
