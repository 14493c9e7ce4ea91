package io.microsnap.hvf.life;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.hvf.HvfTest;
import io.microsnap.hvf.TestHost;
import io.microsnap.memory.CaptureKind;
import io.microsnap.testsupport.Checkout;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Guests that go on in other processes from their snapshots. */
@Execution(ExecutionMode.CONCURRENT)
@HvfTest
class WholeLifeTest {
    /** What a life said at its end. */
    private record Report(int generation, String kind, List<Long> before, List<Long> after) {
        static Report of(String line) {
            List<String> words = List.of(line.split(" ", -1));
            return new Report(Integer.parseInt(words.get(1)), words.get(2),
                    List.of(Long.parseLong(words.get(4)), Long.parseLong(words.get(5))),
                    List.of(Long.parseLong(words.get(7)), Long.parseLong(words.get(8))));
        }
    }

    @ParameterizedTest
    @EnumSource
    void aGuestGoesOnInANewProcessFromAFullSnapshotAndFromADiff(
            Life.Engine engine, ChildProcesses processes, @TempDir Path directory) {
        List<Report> lives = new ArrayList<>();
        for (CaptureKind kind : List.of(CaptureKind.FULL, CaptureKind.DIFF, CaptureKind.DIFF)) {
            lives.add(live(processes, directory, lives.size(), kind, engine));
        }
        assertGoesOn(lives);
        assertThat(lives).extracting(Report::kind).containsExactly("FULL", "DIFF", "DIFF");
    }

    @RealFileSystems(FileSystemKind.XFS)
    void aGuestGoesOnInANewProcessFromASnapshotOntoItsBase(Path directory, ChildProcesses processes) {
        List<Report> lives = new ArrayList<>();
        for (Life.Engine engine : List.of(Life.Engine.LAZY, Life.Engine.EAGER)) {
            lives.add(live(processes, directory, lives.size(), CaptureKind.ONTO_BASE, engine));
        }
        assertGoesOn(lives);
        assertThat(lives).extracting(Report::kind).containsExactly("FULL", "ONTO_BASE");
    }

    private static Report live(
            ChildProcesses processes, Path directory, int generation, CaptureKind kind, Life.Engine engine) {
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElseThrow(),
                "@" + Checkout.jvmOptions(), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                "-cp", System.getProperty("java.class.path")));
        if (TestHost.isReal()) {
            command.add("-Dmicrosnap.hvf=real");
        }
        command.addAll(List.of(Life.class.getName(), directory.resolve("store").toString(),
                String.valueOf(generation), kind.name(), engine.name()));
        ChildProcess.Exit exit = processes.start(new ProcessBuilder(command)).awaitExit();
        assertThat(exit.status()).as(exit.output() + exit.errors()).isZero();
        return exit.output().lines().filter(line -> line.startsWith("generation ")).map(Report::of).findFirst()
                .orElseThrow();
    }

    private static void assertGoesOn(List<Report> lives) {
        Report before = new Report(-1, "", List.of(0L, 0L), List.of(0L, 0L));
        for (Report life : lives) {
            assertThat(life.generation()).isEqualTo(before.generation() + 1);
            assertThat(life.before()).as("%s goes on from %s", life, before).isEqualTo(before.after());
            for (int vcpu = 0; vcpu < Life.VCPUS; vcpu++) {
                assertThat(life.after().get(vcpu)).isGreaterThan(before.after().get(vcpu));
            }
            before = life;
        }
    }
}
