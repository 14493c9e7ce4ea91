package io.microsnap.core.internal.file;

import static org.assertj.core.api.Assertions.assertThat;

import io.microsnap.core.internal.posix.Errno;
import io.microsnap.core.internal.posix.Posix;
import io.microsnap.core.testing.FaultyPosix;
import io.microsnap.core.testing.FaultyPosix.Dead;
import io.microsnap.core.testing.StandInMac;
import io.microsnap.testsupport.ChildProcess;
import io.microsnap.testsupport.ChildProcesses;
import io.microsnap.testsupport.FileSystemKind;
import io.microsnap.testsupport.RealFileSystems;
import io.microsnap.testsupport.Seed;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Tag;

/** Every system call of every operation on files fails once, in every way, and once is the last. */
class FileSweepTest {
    private enum FaultKind {
        EIO, ENOSPC, EINTR, SHORT, ZERO;

        FaultyPosix over(Posix real, int position) {
            FaultyPosix.Fault fault = FaultyPosix.over(real).at(position);
            return switch (this) {
                case EIO -> fault.fails(Errno.EIO);
                case ENOSPC -> fault.fails(Errno.ENOSPC);
                case EINTR -> fault.isInterrupted();
                case SHORT -> fault.fallsShort();
                case ZERO -> fault.transfersNothing();
            };
        }
    }

    @RealFileSystems
    void afterAFaultAtAnyCallTheFileIsCompleteOrAsBeforeAndNothingLeaks(Path directory) throws IOException {
        for (FileOperation operation : FileOperation.values()) {
            failEverywhere(operation, Posix.host(), directory);
        }
    }

    @RealFileSystems
    void deadFromAnyCallOnTheFileIsOldOrNewAndTheNextOwnerClearsUp(Path directory) throws IOException {
        for (FileOperation operation : FileOperation.values()) {
            dieEverywhere(operation, Posix.host(), directory);
        }
    }

    @RealFileSystems(FileSystemKind.XFS)
    void onMacosAFaultOrADeathAtAnyCallDoesNoMoreHarm(Path directory) throws IOException {
        for (FileOperation operation : List.of(FileOperation.STAGED_REPLACING, FileOperation.CLONE_OR_COPY)) {
            failEverywhere(operation, StandInMac.host(), directory);
            dieEverywhere(operation, StandInMac.host(), directory);
        }
    }

    @RealFileSystems(FileSystemKind.XFS)
    @Tag("slow")
    void killedForRealAtACallOfEachKindTheFileIsOldOrNewAndTheNextOwnerClearsUp(
            Path directory, Seed seed, ChildProcesses children) throws IOException {
        SplittableRandom random = seed.random();
        Map<String, List<Kill>> ofEachKind = new TreeMap<>();
        for (Kill kill : everyKill(directory)) {
            ofEachKind.computeIfAbsent(kill.call(), call -> new ArrayList<>()).add(kill);
        }
        for (List<Kill> kills : ofEachKind.values()) {
            killAndRecover(kills.get(random.nextInt(kills.size())), directory, children, seed.toString());
        }
    }

    @RealFileSystems
    @Tag("long")
    void killedForRealAtAnyCallTheFileIsOldOrNewAndTheNextOwnerClearsUp(
            Path directory, FileSystemKind fileSystem, ChildProcesses children) throws IOException {
        for (Kill kill : everyKill(directory)) {
            killAndRecover(kill, directory, children, fileSystem.name());
        }
    }

    private static List<Kill> everyKill(Path directory) throws IOException {
        List<Kill> kills = new ArrayList<>();
        for (FileOperation operation : FileOperation.values()) {
            List<String> names = namesOfCalls(operation, Posix.host(), directory);
            for (int position = 1; position <= names.size(); position++) {
                kills.add(new Kill(operation, position, names.get(position - 1)));
            }
        }
        return kills;
    }

    private static void killAndRecover(Kill kill, Path directory, ChildProcesses children, String where)
            throws IOException {
        kill.operation().prepare(directory);
        ChildProcess.Exit exit = children.java(KilledOperation.class, kill.operation().name(),
                directory.toString(), Integer.toString(kill.position())).awaitExit();
        assertThat(exit.wasKilled()).as("%s: %s", kill, exit).isTrue();
        requireRecovery(kill.operation(), directory, kill + ", " + where);
    }

    private record Kill(FileOperation operation, int position, String call) {
    }

    /** A child process that dies at a call of its operation. */
    static final class KilledOperation {
        private KilledOperation() {
        }

        public static void main(String[] arguments) throws IOException {
            FaultyPosix deadly = FaultyPosix.host().at(Integer.parseInt(arguments[2])).killsTheProcess();
            FileOperation.valueOf(arguments[0]).run(deadly.posix(), Path.of(arguments[1]));
        }
    }

    private static void failEverywhere(FileOperation operation, Posix real, Path directory) throws IOException {
        int calls = namesOfCalls(operation, real, directory).size();
        for (int position = 1; position <= calls; position++) {
            for (FaultKind kind : FaultKind.values()) {
                failOnce(operation, kind, kind.over(real, position), position, directory);
            }
        }
    }

    private static void failOnce(
            FileOperation operation, FaultKind kind, FaultyPosix faulty, int position, Path directory)
            throws IOException {
        operation.prepare(directory);
        List<String> names = new ArrayList<>();
        faulty.before(call -> names.add(call.name()));
        IOException failure = failureOf(operation, faulty.posix(), directory);
        String where = operation + ", " + kind + " at call " + position + " (" + names.get(position - 1) + ")";
        assertThat(operation.isAsBefore(directory)).as("%s: unchanged, given %s", where, failure)
                .isEqualTo(failure != null);
        assertThat(FileOperation.leftovers(directory)).as("%s: left behind", where).isEmpty();
        assertThat(faulty.openDescriptors()).as("%s: left open", where).isEmpty();
        assertThat(faulty.mappedBytes()).as("%s: left mapped", where).isZero();
        if (kind == FaultKind.EINTR || kind == FaultKind.SHORT) {
            assertThat(failure).as("%s: is no reason to fail", where).isNull();
        }
    }

    private static void dieEverywhere(FileOperation operation, Posix real, Path directory) throws IOException {
        int calls = namesOfCalls(operation, real, directory).size();
        for (int position = 1; position <= calls; position++) {
            operation.prepare(directory);
            FaultyPosix dying = FaultyPosix.over(real).deadFrom(position);
            assertThat(diesIn(operation, dying.posix(), directory)).isTrue();
            dying.bury();
            requireRecovery(operation, directory, operation + ", dead from call " + position);
        }
    }

    private static void requireRecovery(FileOperation operation, Path directory, String where) throws IOException {
        boolean asBefore = operation.isAsBefore(directory);
        StagedFile.create(Posix.host(), directory.resolve("another")).close();
        assertThat(FileOperation.leftovers(directory)).as("%s: left behind", where).isEmpty();
        assertThat(operation.isAsBefore(directory)).as("%s: clearing up changed the file", where).isEqualTo(asBefore);
        operation.prepare(directory);
        operation.run(Posix.host(), directory);
        assertThat(operation.isAsBefore(directory)).as("%s: the next attempt", where).isFalse();
    }

    private static List<String> namesOfCalls(FileOperation operation, Posix real, Path directory)
            throws IOException {
        operation.prepare(directory);
        List<String> names = new ArrayList<>();
        FaultyPosix counting = FaultyPosix.over(real).before(call -> names.add(call.name()));
        operation.run(counting.posix(), directory);
        assertThat(operation.isAsBefore(directory)).as(operation + " without faults").isFalse();
        assertThat(counting.openDescriptors()).isEmpty();
        return names;
    }

    private static IOException failureOf(FileOperation operation, Posix posix, Path directory) {
        try {
            operation.run(posix, directory);
            return null;
        } catch (IOException failure) {
            return failure;
        }
    }

    private static boolean diesIn(FileOperation operation, Posix posix, Path directory) throws IOException {
        try {
            operation.run(posix, directory);
            return false;
        } catch (Dead dead) {
            return true;
        }
    }
}
